package step

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Planned is what one step would do.
type Planned struct {
	Step    ID       `json:"step"`
	Title   string   `json:"title"`
	Changes []Change `json:"changes,omitempty"`
	// Deferred is set when the changes are known only after a needed step.
	Deferred bool `json:"deferred,omitempty"`
}

// Plan is what a run would do, in an order in which it can be done.
type Plan struct {
	Steps []Planned `json:"steps"`
}

// Empty reports whether nothing is to be done and nothing is unknown.
func (p Plan) Empty() bool {
	for _, s := range p.Steps {
		if len(s.Changes) > 0 || s.Deferred {
			return false
		}
	}
	return true
}

// Bytes is what the known changes send over the link.
func (p Plan) Bytes() int64 {
	var n int64
	for _, s := range p.Steps {
		for _, c := range s.Changes {
			n += c.Bytes
		}
	}
	return n
}

// Estimate is the time that the plan takes when the link moves rate bytes a
// second; work on the box and transfers are added up, so it errs on the long
// side where the two overlap. A rate of 0 leaves transfers out.
func (p Plan) Estimate(rate float64) time.Duration {
	var d time.Duration
	for _, s := range p.Steps {
		d += cost(s.Changes, rate)
	}
	return d
}

// Foreign returns the objects that somebody else made and the plan changes.
func (p Plan) Foreign() []Change {
	var out []Change
	for _, s := range p.Steps {
		for _, c := range s.Changes {
			if c.Foreign {
				out = append(out, c)
			}
		}
	}
	return out
}

// Of returns the plan of one step.
func (p Plan) Of(id ID) (Planned, bool) {
	for _, s := range p.Steps {
		if s.Step == id {
			return s, true
		}
	}
	return Planned{}, false
}

func cost(changes []Change, rate float64) time.Duration {
	var d time.Duration
	for _, c := range changes {
		d += c.Work
		if rate > 0 {
			d += time.Duration(float64(c.Bytes) / rate * float64(time.Second))
		}
	}
	return d
}

// MakePlan plans all steps side by side, in as few round trips as the longest
// chain of queries of one step. Every step's error is reported, not only the
// first.
func MakePlan(ctx context.Context, steps []Step, r host.ManyReader) (Plan, error) {
	order, err := Sort(steps)
	if err != nil {
		return Plan{}, err
	}
	planned := make([]Planned, len(order))
	errs := make([]error, len(order))
	batch := host.NewBatch(ctx, r, len(order))
	reader := host.ReadOnly(batch)
	var wg sync.WaitGroup
	for i, s := range order {
		wg.Go(func() {
			defer batch.Done()
			planned[i], errs[i] = planOne(ctx, s, reader)
		})
	}
	wg.Wait()
	return Plan{Steps: planned}, errors.Join(distinct(errs)...)
}

func planOne(ctx context.Context, s Step, r host.Reader) (Planned, error) {
	p := Planned{Step: s.ID(), Title: s.Title()}
	changes, err := s.Plan(ctx, r)
	if errors.Is(err, ErrDeferred) {
		p.Deferred = true
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("plan %s: %w", s.ID(), err)
	}
	p.Changes = changes
	return p, nil
}

// distinct drops errors with the same cause: one lost connection fails every
// planner, and saying it once is enough.
func distinct(errs []error) []error {
	var out []error
	seen := make(map[error]bool)
	for _, err := range errs {
		cause := errors.Unwrap(err)
		if err == nil || (cause != nil && seen[cause]) {
			continue
		}
		seen[cause] = true
		out = append(out, err)
	}
	return out
}
