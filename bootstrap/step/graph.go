package step

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// Sort returns the steps so that each comes after those it needs, ties by ID.
// A need that is not among the steps is an error, as is a cycle.
func Sort(steps []Step) ([]Step, error) {
	byID := make(map[ID]Step, len(steps))
	for _, s := range steps {
		if byID[s.ID()] != nil {
			return nil, fmt.Errorf("two steps are called %s", s.ID())
		}
		byID[s.ID()] = s
	}
	ids := make([]ID, 0, len(steps))
	for id := range byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)

	var order []Step
	const visiting, visited = 1, 2
	mark := make(map[ID]int, len(steps))
	var path []ID
	var visit func(ID) error
	visit = func(id ID) error {
		switch mark[id] {
		case visited:
			return nil
		case visiting:
			return &CycleError{Path: append(path[slices.Index(path, id):], id)}
		}
		mark[id] = visiting
		path = append(path, id)
		needs := slices.Sorted(slices.Values(byID[id].Needs()))
		for _, need := range needs {
			if byID[need] == nil {
				return fmt.Errorf("step %s needs %s, which does not exist", id, need)
			}
			if err := visit(need); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		mark[id] = visited
		order = append(order, byID[id])
		return nil
	}
	for _, id := range ids {
		if err := visit(id); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// Select returns the steps named by only (all if empty) without those named by
// skip. A step that is left out is also left out of the others' needs: the
// user takes it as given. An unknown name is an error.
func Select(steps []Step, only, skip []ID) ([]Step, error) {
	known := make(map[ID]bool, len(steps))
	for _, s := range steps {
		known[s.ID()] = true
	}
	for _, id := range slices.Concat(only, skip) {
		if !known[id] {
			names := make([]ID, 0, len(steps))
			for _, s := range steps {
				names = append(names, s.ID())
			}
			return nil, fmt.Errorf("there is no step %q; the steps are %v", id, names)
		}
	}
	var out []Step
	in := make(map[ID]bool, len(steps))
	for _, s := range steps {
		if (len(only) == 0 || slices.Contains(only, s.ID())) && !slices.Contains(skip, s.ID()) {
			out = append(out, s)
			in[s.ID()] = true
		}
	}
	for i, s := range out {
		needs := slices.DeleteFunc(slices.Clone(s.Needs()), func(id ID) bool { return !in[id] })
		if len(needs) != len(s.Needs()) {
			out[i] = trimmed{s, needs}
		}
	}
	return out, nil
}

type trimmed struct {
	Step
	needs []ID
}

func (t trimmed) Needs() []ID { return t.needs }

// remaining returns for each step the length of the longest way from its start
// to the end of the run, the weight of its place in the queue.
func remaining(order []Step, cost map[ID]time.Duration) map[ID]time.Duration {
	out := make(map[ID]time.Duration, len(order))
	for i := len(order) - 1; i >= 0; i-- {
		s := order[i]
		out[s.ID()] += cost[s.ID()]
		for _, need := range s.Needs() {
			out[need] = max(out[need], out[s.ID()])
		}
	}
	return out
}

// byPriority sorts the ready steps, the longest remaining way first.
func byPriority(ready []Step, weight map[ID]time.Duration) {
	sort.SliceStable(ready, func(i, j int) bool {
		return weight[ready[i].ID()] > weight[ready[j].ID()]
	})
}
