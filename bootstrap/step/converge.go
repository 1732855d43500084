package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Box is what Converge needs: a Host that also answers in batches.
type Box interface {
	host.Host
	host.ManyReader
}

// Options say how to converge. The zero value is the careful one.
type Options struct {
	// Adopt allows changing objects that somebody else made.
	Adopt bool
	// Rate is the measured speed of the link in bytes a second, used to order
	// transfers; 0 if unknown.
	Rate float64
	// Attempts is how often a step may lose the connection in a row without
	// moving a byte before the run gives up; 0 means 5.
	Attempts int
	// Patience is how long a step that was reached may find no answer to what it
	// looks at, as from an API server that is starved; 0 means 5 minutes.
	Patience time.Duration
}

// Result says what a run did.
type Result struct {
	Changed   []ID          `json:"changed,omitempty"`
	Unchanged []ID          `json:"unchanged,omitempty"`
	Took      time.Duration `json:"took"`
}

// errStopped is the cause given to steps that run while another one fails.
var errStopped = errors.New("stopped because another step failed")

// Converge carries out the plan. Steps whose needs are met run side by side;
// transfers one at a time, those on the longest remaining way first. The first
// failure stops the run: nothing is undone, and the next run continues.
func Converge(ctx context.Context, steps []Step, box Box, plan Plan, o Options, see Observer) (Result, error) {
	if foreign := plan.Foreign(); len(foreign) > 0 && !o.Adopt {
		return Result{}, foreignError(foreign)
	}
	order, err := Sort(steps)
	if err != nil {
		return Result{}, err
	}
	if o.Attempts == 0 {
		o.Attempts = 5
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Minute
	}
	c := &converger{box: box, plan: plan, opts: o, see: serial(see), start: time.Now()}
	c.emit(Event{Kind: RunStarted})
	err = c.run(ctx, order)
	c.result.Took = time.Since(c.start)
	if err != nil {
		c.emit(Event{Kind: RunFailed, Error: err.Error(), Took: c.result.Took})
		return c.result, err
	}
	c.emit(Event{Kind: RunDone, Took: c.result.Took})
	return c.result, nil
}

func foreignError(foreign []Change) error {
	names := make([]string, len(foreign))
	var diffs strings.Builder
	for i, c := range foreign {
		names[i] = c.Object
		diffs.WriteString(c.Diff)
	}
	return &fault.Error{
		Code:     fault.ForeignConfig,
		Op:       "check who made what is there",
		Err:      fmt.Errorf("not made by ssg-bootstrap: %s", strings.Join(names, ", ")),
		Evidence: diffs.String(),
	}
}

// serial makes see safe for steps that run side by side.
func serial(see Observer) Observer {
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if see != nil {
			see(e)
		}
	}
}

type converger struct {
	box    Box
	plan   Plan
	opts   Options
	see    Observer
	start  time.Time
	result Result
}

type finished struct {
	step    Step
	changed bool
	err     error
}

func (c *converger) emit(e Event) {
	e.Time = time.Now()
	c.see(e)
}

func (c *converger) run(parent context.Context, order []Step) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	q := newQueue(order, c.plan, c.opts.Rate)
	done := make(chan finished)
	var failure error
	for running := 0; ; {
		if failure == nil && ctx.Err() == nil {
			for s := q.next(); s != nil; s = q.next() {
				running++
				dirty := q.dirty(s)
				go func() {
					changed, err := c.converge(ctx, s, dirty)
					done <- finished{s, changed, err}
				}()
			}
		}
		if running == 0 {
			break
		}
		f := <-done
		running--
		q.finish(f.step, f.changed)
		switch {
		case f.err != nil && failure == nil:
			failure = fmt.Errorf("%s: %w", f.step.Title(), f.err)
			stop(errStopped)
		case f.err == nil && f.changed:
			c.result.Changed = append(c.result.Changed, f.step.ID())
		case f.err == nil:
			c.result.Unchanged = append(c.result.Unchanged, f.step.ID())
		}
	}
	if failure == nil {
		failure = context.Cause(parent)
	}
	return failure
}

// converge brings one step to an empty plan. A lost connection is not a
// failure as long as bytes move between losses: what is left is planned again
// and applied.
func (c *converger) converge(ctx context.Context, s Step, dirty bool) (bool, error) {
	start := time.Now()
	c.emit(Event{Kind: StepStarted, Step: s.ID(), Title: s.Title()})
	a := &attempt{c: c, step: s}
	changed, err := a.untilConverged(ctx, dirty)
	e := Event{Kind: StepUnchanged, Step: s.ID(), Title: s.Title(), Changes: a.made, Took: time.Since(start)}
	switch {
	case err != nil:
		e.Kind, e.Error = StepFailed, err.Error()
	case changed:
		e.Kind = StepDone
	}
	c.emit(e)
	return changed, err
}

type attempt struct {
	c    *converger
	step Step
	made []Change

	mu    sync.Mutex
	moved int64
}

func (a *attempt) untilConverged(ctx context.Context, dirty bool) (changed bool, err error) {
	planned, known := a.c.plan.Of(a.step.ID())
	fresh := known && !planned.Deferred && !dirty
	lost, moved := 0, int64(0)
	var verified time.Time
	for {
		if !fresh {
			if planned, err = a.look(ctx, a.complete()); err == nil && planned.Deferred {
				return changed, &fault.Error{Code: fault.StepDeferred, Op: "plan " + string(a.step.ID()), Err: ErrDeferred}
			}
		}
		fresh = false
		if err == nil {
			if len(planned.Changes) == 0 {
				return changed, nil
			}
			changed, err = true, a.apply(ctx, planned.Changes)
		}
		switch {
		case err == nil:
			left, err := a.verify(ctx)
			if err != nil || len(left.Changes) == 0 {
				return true, err
			}
			if verified.IsZero() {
				verified = time.Now()
			}
			if !onlyWaits(left.Changes) || time.Since(verified) >= a.c.opts.Patience {
				return true, a.notConverged(left.Changes)
			}
			// It was there and is not: a busy old box loses sight of what it has
			// just begun, and finds it again.
			a.emit(Event{Kind: StepNote, Text: "it was there and is gone again (" + left.Changes[0].Why + "); waiting once more"})
			planned, fresh = left, true
			continue
		case fault.CodeOf(err) != fault.LinkLost || ctx.Err() != nil:
			return changed, err
		}
		if now := a.progress(); now > moved {
			lost, moved = 0, now
		}
		if lost++; lost >= a.c.opts.Attempts {
			return changed, err
		}
		a.emit(Event{Kind: StepRetry, Text: "connection lost; continuing where it stopped", Error: err.Error()})
	}
}

// complete says that nothing the step needs was left out by --only or --skip:
// then all of it was applied before, and is there.
func (a *attempt) complete() bool {
	_, without := a.step.(trimmed)
	return !without
}

// look plans the step again. Where what it looks at is there and does not answer,
// an old box is merely busy: a patient look asks again for a while.
func (a *attempt) look(ctx context.Context, patient bool) (Planned, error) {
	const pause = 3 * time.Second
	for start, told := time.Now(), false; ; {
		planned, err := planOne(ctx, a.step, host.ReadOnly(a.c.box))
		if err != nil || !planned.Deferred || !patient || time.Since(start) >= a.c.opts.Patience {
			return planned, err
		}
		if !told {
			told = true
			a.emit(Event{Kind: StepNote, Text: "the box does not answer yet what this step looks at; asking again"})
		}
		select {
		case <-ctx.Done():
			return planned, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (a *attempt) apply(ctx context.Context, changes []Change) error {
	for _, ch := range changes {
		if ch.Foreign && !a.c.opts.Adopt {
			return foreignError([]Change{ch})
		}
	}
	a.made = append(a.made, changes...)
	return a.step.Apply(ctx, Run{
		Host: a.c.box,
		Note: func(text string) { a.emit(Event{Kind: StepNote, Text: text}) },
		Progress: func(done, total int64) {
			a.mu.Lock()
			a.moved = max(a.moved, done)
			a.mu.Unlock()
			a.emit(Event{Kind: StepProgress, Done: done, Total: total})
		},
	}, changes)
}

// verify plans once more: the law is that nothing remains.
func (a *attempt) verify(ctx context.Context) (Planned, error) {
	left, err := a.look(ctx, true)
	switch {
	case fault.CodeOf(err) == fault.LinkLost && ctx.Err() == nil:
		// Reconnecting already failed or is worth one more try; the queries
		// of a plan may be repeated at will.
		left, err = a.look(ctx, true)
	case err == nil && left.Deferred:
		err = ErrDeferred
	}
	if err != nil {
		return left, fmt.Errorf("verify: %w", err)
	}
	return left, nil
}

func onlyWaits(changes []Change) bool {
	return !slices.ContainsFunc(changes, func(ch Change) bool { return ch.Verb != Wait })
}

func (a *attempt) notConverged(left []Change) error {
	what := make([]string, len(left))
	for i, ch := range left {
		what[i] = fmt.Sprintf("%s %s (%s)", ch.Verb, ch.Object, ch.Why)
	}
	return &fault.Error{
		Code:     fault.NotConverged,
		Op:       "verify " + string(a.step.ID()),
		Err:      errors.New("applied, and still not as it should be"),
		Evidence: strings.Join(what, "\n"),
	}
}

func (a *attempt) emit(e Event) {
	e.Step, e.Title = a.step.ID(), a.step.Title()
	a.c.emit(e)
}

func (a *attempt) progress() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.moved
}
