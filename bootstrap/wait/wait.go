// Package wait waits for something on a slow box.
//
// It keeps the promise that waits are ended by stalls, not by the clock: as
// long as what is observed keeps changing there is progress, and only silence
// of a length sized by the hardware gives up. The error says what was waited
// for, for how long, and what was last seen.
package wait

import (
	"context"
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// State is what one probe saw. Seen is a short text for people; two equal
// texts mean that nothing moved in between.
type State struct {
	Done bool
	Seen string
}

// Condition describes one wait.
type Condition struct {
	// What is waited for, as in "k3s to answer /readyz".
	What string
	// Every is the pause between probes; it must be positive.
	Every time.Duration
	// Stall ends the wait when Seen has not changed for so long.
	Stall time.Duration
	// Box bounds one probe, so that a hung probe counts as silence.
	Box time.Duration
	// Next is the command that the error names when the wait stalls.
	Next string
	// Seen, if not nil, is told of every change of state.
	Seen func(State, time.Duration)
}

// Until probes until the state is done, the wait stalls or ctx ends. A probe's
// error is a state like any other (its text is what was seen), because on a
// box that starts up most probes fail at first.
func Until(ctx context.Context, c Condition, probe func(context.Context) (State, error)) error {
	start := time.Now()
	moved, last := start, ""
	for first := true; ; first = false {
		s := look(ctx, c.Box, probe)
		now := time.Now()
		if first || s.Seen != last {
			moved, last = now, s.Seen
			if c.Seen != nil {
				c.Seen(s, now.Sub(start))
			}
		}
		if s.Done {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("wait for %s (last seen: %s): %w", c.What, last, err)
		}
		if quiet := now.Sub(moved); quiet >= c.Stall {
			return &fault.Error{
				Code: fault.WaitStalled,
				Op:   "wait for " + c.What,
				Err: fmt.Errorf("nothing changed for %s (waited %s in all)",
					quiet.Round(time.Second), now.Sub(start).Round(time.Second)),
				Evidence: last,
				Next:     c.Next,
			}
		}
		if err := pause(ctx, c.Every); err != nil {
			return fmt.Errorf("wait for %s (last seen: %s): %w", c.What, last, err)
		}
	}
}

func look(ctx context.Context, box time.Duration, probe func(context.Context) (State, error)) State {
	if box > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, box)
		defer cancel()
	}
	s, err := probe(ctx)
	if err != nil {
		return State{Seen: err.Error()}
	}
	return s
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
