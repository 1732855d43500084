// Package step plans and converges.
//
// It keeps the promise that one run converges or says exactly why not: what a
// step changed is planned again afterwards and must be empty, a step that
// cannot be planned yet says so instead of pretending, and nothing is undone
// or destroyed when a step fails.
package step

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// ID names a step, a lower-kebab noun as in "k3s-server".
type ID string

// Verb says what a change does to its object.
type Verb string

// The verbs. Send moves a large file over the link.
const (
	Create  Verb = "create"
	Update  Verb = "update"
	Remove  Verb = "remove"
	Send    Verb = "send"
	Enable  Verb = "enable"
	Start   Verb = "start"
	Restart Verb = "restart"
	Wait    Verb = "wait for"
)

// Change is one difference between the box and what should be.
type Change struct {
	Verb   Verb   `json:"verb"`
	Object string `json:"object"`
	// Why is short: "absent", "content differs", "max-pods 110 → 40".
	Why string `json:"why,omitempty"`
	// Diff is a unified diff for files that exist already, without secrets.
	Diff string `json:"diff,omitempty"`
	// Bytes is what crosses the link for this change.
	Bytes int64 `json:"bytes,omitempty"`
	// Restarts names the service that this change restarts.
	Restarts string `json:"restarts,omitempty"`
	// Work is the time on the box besides the transfer, an estimate.
	Work time.Duration `json:"work,omitempty"`
	// Foreign marks an object that somebody else made; it is changed only when
	// the user adopts it.
	Foreign bool `json:"foreign,omitempty"`
}

// Lane is the scarce thing that a step occupies while it is applied.
type Lane int

// Steps of the box's lane run side by side as far as their needs allow; the
// link is one lane: one transfer at a time, the critical path first.
const (
	LaneBox Lane = iota
	LaneLink
)

// Run is what a step gets to apply its changes.
type Run struct {
	Host host.Host
	// Note tells the user what is going on, in a few words.
	Note func(text string)
	// Progress tells how many bytes of total are done.
	Progress host.Progress
}

// Step is one part of what should be true of the box.
type Step interface {
	ID() ID
	// Title is the step in a person's words.
	Title() string
	Needs() []ID
	Lane() Lane
	// Plan returns what differs; an empty list means converged. It returns
	// ErrDeferred when that is not known before a needed step was applied.
	Plan(ctx context.Context, r host.Reader) ([]Change, error)
	// Apply makes the changes. It may be called again after any failure.
	Apply(ctx context.Context, run Run, changes []Change) error
}

// ErrDeferred is returned by Plan when a change is known only after the step
// that it needs was applied.
var ErrDeferred = errors.New("known after the steps it needs")

// Resource is a step whose plan is a pure function of what was observed, so
// that it can be tested without a box.
type Resource[S any] interface {
	ID() ID
	Title() string
	Needs() []ID
	Lane() Lane
	Observe(ctx context.Context, r host.Reader) (S, error)
	Diff(observed S) ([]Change, error)
	Apply(ctx context.Context, run Run, changes []Change) error
}

// Of makes a Step of a Resource.
func Of[S any](r Resource[S]) Step { return resourceStep[S]{r} }

type resourceStep[S any] struct{ Resource[S] }

func (s resourceStep[S]) Plan(ctx context.Context, r host.Reader) ([]Change, error) {
	observed, err := s.Observe(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.Diff(observed)
}

// CycleError is a set of steps that need each other.
type CycleError struct{ Path []ID }

// Error names the cycle.
func (e *CycleError) Error() string { return fmt.Sprintf("steps need each other: %v", e.Path) }
