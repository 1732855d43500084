package step_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// timezone is a whole step: the box's time zone is what it should be.
type timezone struct{ want string }

func (timezone) ID() step.ID      { return "timezone" }
func (timezone) Title() string    { return "Time zone" }
func (timezone) Needs() []step.ID { return nil }
func (timezone) Lane() step.Lane  { return step.LaneBox }

// Observe asks, and can do nothing else: r has no way to change the box.
func (timezone) Observe(ctx context.Context, r host.Reader) (string, error) {
	out, err := r.Query(ctx, host.Command{Argv: []string{"timedatectl", "show", "--property=Timezone", "--value"}})
	if err != nil {
		return "", fmt.Errorf("read the time zone: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Diff is pure: what was seen, what should be, what differs.
func (t timezone) Diff(seen string) ([]step.Change, error) {
	if seen == t.want {
		return nil, nil
	}
	return []step.Change{{Verb: step.Update, Object: "time zone", Why: seen + " → " + t.want}}, nil
}

// Apply makes the change. Whether it worked is seen by the next plan.
func (t timezone) Apply(ctx context.Context, r step.Run, _ []step.Change) error {
	if _, err := r.Host.Run(ctx, host.Command{Argv: []string{"timedatectl", "set-timezone", t.want}, Root: true}); err != nil {
		return fmt.Errorf("set the time zone: %w", err)
	}
	return nil
}

// answer is a box that gives one answer to every query.
type answer string

func (a answer) Query(context.Context, host.Command) ([]byte, error) { return []byte(a), nil }

func (a answer) QueryMany(_ context.Context, cs []host.Command) ([]host.Answer, error) {
	out := make([]host.Answer, len(cs))
	for i := range out {
		out[i].Out = []byte(a)
	}
	return out, nil
}

func ExampleOf() {
	s := step.Of(timezone{want: "Asia/Kolkata"})
	for _, box := range []answer{"Etc/UTC\n", "Asia/Kolkata\n"} {
		changes, err := s.Plan(context.Background(), box)
		fmt.Println(len(changes), "changes", err)
		for _, c := range changes {
			fmt.Println(c.Verb, c.Object+":", c.Why)
		}
	}
	// Output:
	// 1 changes <nil>
	// update time zone: Etc/UTC → Asia/Kolkata
	// 0 changes <nil>
}
