package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func untilCancelled(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestFirstToEndTakesTheOthersWithIt(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct{ end, want error }{
		"an error":  {broken, broken},
		"no reason": {nil, errStopped},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t.Context(), quiet())
			stopped := make(chan struct{})
			g.start("other", func(ctx context.Context) error {
				defer close(stopped)
				return untilCancelled(ctx)
			})
			g.start("component", func(context.Context) error { return c.end })
			if err := g.wait(time.Minute); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			<-stopped
		})
	}
}

func TestSignalIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := newGroup(ctx, quiet())
	g.start("component", untilCancelled)
	g.once("work", func(context.Context) error { return nil })
	cancel()
	if err := g.wait(time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestNotifier(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := newNotifier(socket).ready(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := l.Read(buf)
	if err != nil || string(buf[:n]) != "READY=1\n" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if err := newNotifier("").ready(); err != nil {
		t.Fatal("without systemd:", err)
	}
}

func TestMissingNamesTheChecks(t *testing.T) {
	body := "[+]ping ok\n[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n[+]etcd ok\nreadyz check failed\n"
	if got := missing(body, errors.New("500")); got != "poststarthook/rbac/bootstrap-roles" {
		t.Errorf("got %q", got)
	}
	if got := missing("", errors.New("connection refused")); got != "connection refused" {
		t.Errorf("got %q", got)
	}
}
