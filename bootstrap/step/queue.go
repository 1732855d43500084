package step

import (
	"slices"
	"time"
)

// queue hands out steps whose needs are met, at most one at a time of those
// that use the link. It is used by one goroutine.
type queue struct {
	waiting  []Step
	weight   map[ID]time.Duration
	finished map[ID]bool
	changed  map[ID]bool
	linkBusy bool
}

func newQueue(order []Step, plan Plan, rate float64) *queue {
	costs := make(map[ID]time.Duration, len(order))
	for _, p := range plan.Steps {
		costs[p.Step] = cost(p.Changes, rate)
	}
	q := &queue{
		waiting:  slices.Clone(order),
		weight:   remaining(order, costs),
		finished: make(map[ID]bool, len(order)),
		changed:  make(map[ID]bool, len(order)),
	}
	byPriority(q.waiting, q.weight)
	return q
}

// next returns a step to start now, or nil.
func (q *queue) next() Step {
	for i, s := range q.waiting {
		if s.Lane() == LaneLink && q.linkBusy || !q.met(s) {
			continue
		}
		q.waiting = slices.Delete(q.waiting, i, i+1)
		if s.Lane() == LaneLink {
			q.linkBusy = true
		}
		return s
	}
	return nil
}

func (q *queue) met(s Step) bool {
	for _, need := range s.Needs() {
		if !q.finished[need] {
			return false
		}
	}
	return true
}

// dirty reports whether a step that s needs changed something, so that the
// plan made before the run no longer holds for s.
func (q *queue) dirty(s Step) bool {
	return slices.ContainsFunc(s.Needs(), func(id ID) bool { return q.changed[id] })
}

func (q *queue) finish(s Step, changed bool) {
	q.finished[s.ID()] = true
	q.changed[s.ID()] = changed
	if s.Lane() == LaneLink {
		q.linkBusy = false
	}
}
