package host

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

type manyFunc func([]Command) ([]Answer, error)

func (f manyFunc) QueryMany(_ context.Context, cs []Command) ([]Answer, error) { return f(cs) }

// echo answers each query with its own arguments and records the size of each
// round trip.
func echo(sizes *[]int) manyFunc {
	var mu sync.Mutex
	return func(cs []Command) ([]Answer, error) {
		mu.Lock()
		*sizes = append(*sizes, len(cs))
		mu.Unlock()
		out := make([]Answer, len(cs))
		for i, c := range cs {
			out[i].Out = []byte(strings.Join(c.argv(), " "))
		}
		return out, nil
	}
}

func TestBatchTakesAsManyRoundTripsAsTheLongestChain(t *testing.T) {
	var sizes []int
	chains := []int{1, 3, 2, 1, 0}
	b := NewBatch(t.Context(), echo(&sizes), len(chains))
	var wg sync.WaitGroup
	for id, chain := range chains {
		wg.Go(func() {
			defer b.Done()
			for q := range chain {
				want := strings.Repeat("x", 1+id) + strings.Repeat("y", q)
				got, err := b.Query(t.Context(), Command{Argv: []string{want}})
				if err != nil || string(got) != want {
					t.Errorf("planner %d: got %q, %v", id, got, err)
				}
			}
		})
	}
	wg.Wait()
	if len(sizes) != 3 || sizes[0] != 4 || sizes[1] != 2 || sizes[2] != 1 {
		t.Errorf("round trips %v, want [4 2 1]", sizes)
	}
}

func TestBatchGivesALostRoundTripToEveryPlanner(t *testing.T) {
	lost := errors.New("lost")
	b := NewBatch(t.Context(), manyFunc(func([]Command) ([]Answer, error) { return nil, lost }), 2)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			defer b.Done()
			if _, err := b.Query(t.Context(), Command{Argv: []string{"true"}}); !errors.Is(err, lost) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
}

func TestBatchAsksEqualQueriesOnce(t *testing.T) {
	var sizes []int
	queries := []Command{
		{Argv: []string{"a", "b"}}, {Argv: []string{"a", "b"}}, {Argv: []string{"a b"}},
		{Argv: []string{"a", "b"}, Root: true}, {Argv: []string{"a", "b"}, Stdin: []byte("x")},
	}
	b := NewBatch(t.Context(), echo(&sizes), len(queries))
	var wg sync.WaitGroup
	for _, q := range queries {
		wg.Go(func() {
			defer b.Done()
			if got, err := b.Query(t.Context(), q); err != nil || string(got) != "a b" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if len(sizes) != 1 || sizes[0] != 4 {
		t.Errorf("round trips %v, want one of 4 queries", sizes)
	}
}

func TestBatchRunsOneProcessForEverybodysArguments(t *testing.T) {
	var sizes []int
	looks := [][]string{{"/a", "/b"}, {"/b"}, {"/c"}}
	b := NewBatch(t.Context(), echo(&sizes), len(looks))
	var wg sync.WaitGroup
	for _, paths := range looks {
		wg.Go(func() {
			defer b.Done()
			own := Command{Argv: []string{"own", paths[0]}}
			answers, err := b.QueryMany(t.Context(), []Command{{Argv: []string{"stat"}, Also: paths}, own})
			if err != nil {
				t.Error(err)
				return
			}
			for _, p := range []string{"/a", "/b", "/c"} {
				if strings.Count(string(answers[0].Out), p) != 1 {
					t.Errorf("the shared answer: %q", answers[0].Out)
				}
			}
			if string(answers[1].Out) != "own "+paths[0] {
				t.Errorf("its own answer: %q", answers[1].Out)
			}
		})
	}
	wg.Wait()
	if len(sizes) != 1 || sizes[0] != 4 {
		t.Errorf("round trips %v, want one of 4 queries", sizes)
	}
}
