package host

import (
	"context"
	"fmt"
	"sync"
)

// Answer is the outcome of one query of a batch.
type Answer struct {
	Out []byte
	Err error
}

// ManyReader answers many queries in one round trip. The error is for the
// round trip as a whole; a command's own failure is in its Answer.
type ManyReader interface {
	QueryMany(ctx context.Context, cs []Command) ([]Answer, error)
}

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
	c    Command
	done chan Answer
}

// NewBatch returns a Batch for the given number of planners, each of which
// must call Done exactly once, when it will query no more. ctx bounds the
// round trips.
func NewBatch(ctx context.Context, r ManyReader, planners int) *Batch {
	return &Batch{r: r, ctx: ctx, working: planners}
}

// Query waits for the batch that holds c.
func (b *Batch) Query(ctx context.Context, c Command) ([]byte, error) {
	p := &pending{c: c, done: make(chan Answer, 1)}
	b.mu.Lock()
	b.waiting = append(b.waiting, p)
	b.flushIfAllWait()
	b.mu.Unlock()
	select {
	case a := <-p.done:
		return a.Out, a.Err
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

// flush sends the queries, equal ones once: planners that look at the same
// thing need not know of each other.
func (b *Batch) flush(batch []*pending) {
	var cs []Command
	places := make(map[string]int)
	at := make([]int, len(batch))
	for i, p := range batch {
		place, asked := places[p.c.key()]
		if !asked {
			place = len(cs)
			places[p.c.key()] = place
			cs = append(cs, p.c)
		}
		at[i] = place
	}
	answers, err := b.r.QueryMany(b.ctx, cs)
	for i, p := range batch {
		if err != nil {
			p.done <- Answer{Err: err}
			continue
		}
		p.done <- answers[at[i]]
	}
}

// key is equal for equal commands.
func (c Command) key() string { return fmt.Sprintf("%q %t %q", c.Argv, c.Root, c.Stdin) }
