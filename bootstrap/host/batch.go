package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Batch is a Reader that turns the queries of several planners into as few
// round trips as their longest chain of dependent queries: a query is held
// until every planner that still works waits in one. On a link with 200 ms of
// latency and a CPU that needs 100 ms for each sudo, one round trip is worth
// ten.
type Batch struct {
	r   ManyReader
	ctx context.Context

	mu      sync.Mutex
	working int
	waiting []*pending
}

type pending struct {
	cs   []Command
	done chan []Answer
}

// NewBatch returns a Batch for the given number of planners, each of which
// must call Done exactly once, when it will query no more. ctx bounds the
// round trips.
func NewBatch(ctx context.Context, r ManyReader, planners int) *Batch {
	return &Batch{r: r, ctx: ctx, working: planners}
}

// Query waits for the round trip that holds c.
func (b *Batch) Query(ctx context.Context, c Command) ([]byte, error) {
	answers, err := b.QueryMany(ctx, []Command{c})
	if err != nil {
		return nil, err
	}
	return answers[0].Out, answers[0].Err
}

// QueryMany waits for the round trip that holds cs. A round trip that failed
// is in every answer.
func (b *Batch) QueryMany(ctx context.Context, cs []Command) ([]Answer, error) {
	p := &pending{cs: cs, done: make(chan []Answer, 1)}
	b.mu.Lock()
	b.waiting = append(b.waiting, p)
	b.flushIfAllWait()
	b.mu.Unlock()
	select {
	case answers := <-p.done:
		return answers, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Done says that one planner will query no more.
func (b *Batch) Done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.working--
	b.flushIfAllWait()
}

func (b *Batch) flushIfAllWait() {
	if len(b.waiting) == 0 || len(b.waiting) < b.working {
		return
	}
	batch := b.waiting
	b.waiting = nil
	go b.flush(batch)
}

// flush sends the queries, those that can share a process once: planners that
// look at the same thing need not know of each other.
func (b *Batch) flush(batch []*pending) {
	var all union
	for _, p := range batch {
		for _, c := range p.cs {
			all.add(c)
		}
	}
	answers, err := b.r.QueryMany(b.ctx, all.cs)
	for _, p := range batch {
		own := make([]Answer, len(p.cs))
		for i, c := range p.cs {
			if own[i].Err = err; err == nil {
				own[i] = answers[all.places[c.key()]]
			}
		}
		p.done <- own
	}
}

// union holds commands without repetition.
type union struct {
	cs     []Command
	places map[string]int
}

func (u *union) add(c Command) {
	place, asked := u.places[c.key()]
	if !asked {
		if u.places == nil {
			u.places = make(map[string]int)
		}
		place = len(u.cs)
		u.places[c.key()] = place
		u.cs = append(u.cs, Command{Argv: c.Argv, Root: c.Root, Aside: c.Aside, Stdin: c.Stdin})
	}
	for _, arg := range c.Also {
		if !slices.Contains(u.cs[place].Also, arg) {
			u.cs[place].Also = append(u.cs[place].Also, arg)
		}
	}
}

// key is equal for commands that differ in Also at most.
func (c Command) key() string {
	return fmt.Sprintf("%q %t %t %q", c.Argv, c.Root, c.Aside, c.Stdin)
}
