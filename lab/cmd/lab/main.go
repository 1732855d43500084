// Command lab runs the emulated 2008 PC and what it needs around it: a bad
// link in front of its sshd and a mirror of releases. It promises that each
// command can be given again, and that all of it stays on loopback.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C asks to end in order, the second one ends.
	defer context.AfterFunc(ctx, stop)()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: brief}))
	if err := newRoot(log).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if ctx.Err() != nil {
			return 130
		}
		return 1
	}
	return 0
}

// brief leaves the date out: progress is read while it happens.
func brief(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Value = slog.StringValue(a.Value.Time().Format("15:04:05"))
	}
	return a
}
