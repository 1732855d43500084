package host_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

func TestQueriesOutliveCutsAndRunsDoNotRepeat(t *testing.T) {
	t.Parallel()
	box := hosttest.New(t, hosttest.Config{SudoPassword: "pw"})
	c := box.Connect(t)
	for cut := int64(1); cut < 3000; cut += 97 {
		box.Link.CutAfterOut(cut)
		out, err := c.Query(t.Context(), host.Command{Argv: []string{"echo", strings.Repeat("x", 1000)}, Root: true})
		if err != nil || len(out) != 1001 {
			t.Fatalf("cut at %d: %d bytes, %v", cut, len(out), err)
		}
	}
	box.Link.CutAfterOut(1 << 30)
	box.Link.CutAtExec(1)
	_, err := c.Run(t.Context(), host.Command{Argv: []string{"true"}})
	if fault.CodeOf(err) != fault.LinkLost {
		t.Errorf("a run that was cut: %v", err)
	}
	if _, err := c.Run(t.Context(), host.Command{Argv: []string{"true"}}); err != nil {
		t.Errorf("the run after it: %v", err)
	}
}

func TestReconnectingIsToldAndGivenUp(t *testing.T) {
	t.Parallel()
	box := hosttest.New(t, hosttest.Config{})
	var mu sync.Mutex
	var said []string
	o := box.Options()
	o.ReconnectStall = time.Second
	o.Events = func(text string) { mu.Lock(); said = append(said, text); mu.Unlock() }
	c := connect(t, box.Target(), o)
	defer c.Close()
	box.Link.Refuse(true)
	box.Link.Cut()
	_, err := c.Query(t.Context(), host.Command{Argv: []string{"true"}})
	if fault.CodeOf(err) != fault.LinkLost || fault.ExitOf(err) != fault.ExitFailed {
		t.Errorf("got %v", err)
	}
	mu.Lock()
	first := said[len(said)-1]
	mu.Unlock()
	if !strings.HasPrefix(first, "connection lost, reconnecting (") {
		t.Errorf("said %q", first)
	}
	box.Link.Refuse(false)
	if _, err := c.Query(t.Context(), host.Command{Argv: []string{"true"}}); err != nil {
		t.Errorf("when the box is back: %v", err)
	}
}

func TestAStalledLinkIsClosedByTheKeepalive(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	o := box.Options()
	// Two seconds in which nothing comes: a busy computer is late by less, and
	// the second connection must not look dead too.
	o.Keepalive, o.Missed = 100*time.Millisecond, 20
	c := connect(t, box.Target(), o)
	defer c.Close()
	box.Link.Freeze()
	out, err := c.Query(t.Context(), host.Command{Argv: []string{"echo", "alive"}})
	if err != nil || string(out) != "alive\n" || c.Stats().Connects != 2 {
		t.Errorf("got %q, %v over %d connections", out, err, c.Stats().Connects)
	}
}

func TestAnIdleConnectionIsKept(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	o := box.Options()
	o.Keepalive, o.Missed = 20*time.Millisecond, 250
	c := connect(t, box.Target(), o)
	defer c.Close()
	before := box.Link.In()
	until(t, "some keepalives to pass", func() bool { return box.Link.In() > before+1000 })
	if c.Stats().Connects != 1 || c.Stats().RTT == 0 {
		t.Errorf("stats %+v", c.Stats())
	}
}

func TestACancelledCommandReturnsAtOnce(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	began := make(chan struct{})
	box.Command("forever", func(call *hosttest.Call) int { close(began); <-call.Ctx.Done(); return 1 })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, err := c.Run(ctx, host.Command{Argv: []string{"forever"}}); !errors.Is(err, context.Canceled) || fault.ExitOf(err) != fault.ExitInterrupted {
		t.Errorf("got %v", err)
	}
	if _, err := c.Query(t.Context(), host.Command{Argv: []string{"true"}}); err != nil || c.Stats().Connects != 1 {
		t.Errorf("after it: %v over %d connections", err, c.Stats().Connects)
	}
}

func TestAStalledUploadIsGivenUp(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	// The link works, and dd takes nothing from it.
	box.Command("dd", func(c *hosttest.Call) int { <-c.Ctx.Done(); return 1 })
	o := box.Options()
	o.SendStall = 300 * time.Millisecond
	c := connect(t, box.Target(), o)
	defer c.Close()
	b, _ := blob(t, 20<<20, "/usr/local/bin/k3s")
	if _, err := c.Send(t.Context(), b, nil); fault.CodeOf(err) != fault.LinkStalled {
		t.Errorf("got %v", err)
	}
}

func TestATunnelWorksAgainAfterACut(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		for {
			conn, err := far.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); _, _ = io.Copy(conn, conn) }()
		}
	}()
	near, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Tunnel(ctx, near, far.Addr().String()) }()
	for i := range 3 {
		conn, err := net.Dial("tcp", near.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "ping"); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != "ping" {
			t.Errorf("connection %d: got %q, %v", i, got, err)
		}
		_ = conn.Close()
		box.Link.Cut()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the tunnel ended with %v", err)
	}
}
