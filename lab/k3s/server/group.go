package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// group runs the components. The first that ends takes the others with it:
// half a cluster helps nobody, and systemd starts a whole one.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	log    *slog.Logger
	wg     sync.WaitGroup

	mu      sync.Mutex
	running []string
}

func newGroup(ctx context.Context, log *slog.Logger) *group {
	g := &group{log: log}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

var errStopped = errors.New("ended by itself")

// start runs a component that is not meant to end.
func (g *group) start(name string, run func(context.Context) error) {
	g.once(name, func(ctx context.Context) error {
		if err := run(ctx); err != nil {
			return err
		}
		return errStopped
	})
}

// startLogged says with which flags, as k3s does: it is the first thing to look
// at when one of them is wrong.
func (g *group) startLogged(name string, args []string, run func(context.Context, []string) error) {
	g.log.Info("Running " + name + " " + strings.Join(args, " "))
	g.start(name, func(ctx context.Context) error { return run(ctx, args) })
}

// startEndless is for a component that cannot be asked to stop: it goes on until
// the process ends, and nobody waits for it.
func (g *group) startEndless(name string, args []string, run func(context.Context, []string) error) {
	g.log.Info("Running " + name + " " + strings.Join(args, " "))
	go func() {
		err := run(g.ctx, args)
		if err == nil {
			err = errStopped
		}
		g.cancel(fmt.Errorf("%s: %w", name, err))
	}()
}

// once runs a piece of work that ends well by ending.
func (g *group) once(name string, run func(context.Context) error) {
	g.note(name)
	g.wg.Go(func() {
		defer g.forget(name)
		if err := run(g.ctx); err != nil && g.ctx.Err() == nil {
			g.cancel(fmt.Errorf("%s: %w", name, err))
		}
	})
}

func (g *group) fail(err error) { g.cancel(err) }

func (g *group) note(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = append(g.running, name)
}

func (g *group) forget(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.running, name); i >= 0 {
		g.running = slices.Delete(g.running, i, i+1)
	}
}

// wait returns when the group has ended: nil after a signal. A component that
// does not stop in time is left behind; the process is about to end anyway.
func (g *group) wait(grace time.Duration) error {
	<-g.ctx.Done()
	cause := context.Cause(g.ctx)
	if errors.Is(cause, context.Canceled) {
		cause = nil
		g.log.Info("Shutting down")
	} else {
		g.log.Error("Shutting down", "error", cause)
	}
	done := make(chan struct{})
	go func() { g.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(grace):
		g.mu.Lock()
		defer g.mu.Unlock()
		g.log.Info("Ending without waiting any longer", "for", strings.Join(g.running, " "))
	}
	return cause
}
