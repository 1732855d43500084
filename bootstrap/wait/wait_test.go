package wait

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func TestProgressKeepsTheWaitAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := Until(t.Context(), Condition{What: "x", Every: time.Second, Stall: 5 * time.Second},
			func(context.Context) (State, error) {
				n := int(time.Since(start) / (4 * time.Second))
				return State{Done: n == 10, Seen: strings.Repeat("i", n)}, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 40*time.Second {
			t.Errorf("waited %s, want 40s: eight times the stall, because it moved", got)
		}
	})
}

func TestSilenceEndsTheWaitWithWhatWasLastSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := Until(t.Context(), Condition{What: "the moon", Every: time.Second, Stall: 5 * time.Second, Next: "look up"},
			func(context.Context) (State, error) { return State{}, errors.New("connection refused") })
		if fault.CodeOf(err) != fault.WaitStalled || fault.EvidenceOf(err) != "connection refused" || fault.NextOf(err) != "look up" {
			t.Fatalf("got %v, evidence %q, next %q", err, fault.EvidenceOf(err), fault.NextOf(err))
		}
	})
}

func TestAHungProbeCountsAsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := Until(t.Context(), Condition{What: "x", Every: time.Second, Stall: 10 * time.Second, Box: 2 * time.Second},
			func(ctx context.Context) (State, error) { <-ctx.Done(); return State{}, ctx.Err() })
		if fault.CodeOf(err) != fault.WaitStalled {
			t.Fatalf("got %v", err)
		}
		if got := time.Since(start); got > 15*time.Second {
			t.Errorf("gave up after %s", got)
		}
	})
}

func TestCancelNamesTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		err := Until(ctx, Condition{What: "node Ready", Every: time.Second, Stall: time.Hour},
			func(context.Context) (State, error) { return State{Seen: "NotReady"}, nil })
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "node Ready (last seen: NotReady)") {
			t.Fatal(err)
		}
	})
}
