package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scripted is a service whose listener is a shell script; each start adds a
// line to a file.
func scripted(t *testing.T, script string) (service, *bytes.Buffer, func() int) {
	t.Helper()
	dir := t.TempDir()
	starts := filepath.Join(dir, "starts")
	listener := filepath.Join(dir, "Runner.Listener")
	if err := os.WriteFile(listener, []byte(fmt.Sprintf("#!/bin/sh\necho \"$@\" >>%s\n%s\n", starts, script)), 0o755); err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	count := func() int {
		content, err := os.ReadFile(starts)
		if err != nil {
			return 0
		}
		if got, want := strings.Split(string(content), "\n")[0], "run --startuptype service"; got != want {
			t.Errorf("the listener is started with %q, want %q", got, want)
		}
		return strings.Count(string(content), "\n")
	}
	return service{listener: listener, out: out, pause: time.Millisecond, retries: 10, patience: 5 * time.Second}, out, count
}

func TestExitCodesDecide(t *testing.T) {
	for code, starts := range map[int]int{0: 1, 1: 1, 5: 1, 2: 11, 3: 11, 4: 11, 134: 11} {
		s, out, count := scripted(t, fmt.Sprintf("exit %d", code))
		s.run()
		if got := count(); got != starts {
			t.Errorf("exit %d: started %d times, want %d\n%s", code, got, starts, out)
		}
	}
}

func TestStopInterruptsTheListener(t *testing.T) {
	s, out, count := scripted(t, `trap 'echo stopped; exit 0' INT
echo up >"$0.up"
while :; do sleep 0.01; done`)
	stop := make(chan os.Signal, 1)
	s.stop = stop
	ended := make(chan struct{})
	go func() { s.run(); close(ended) }()
	deadline := time.After(20 * time.Second)
	for {
		if _, err := os.Stat(s.listener + ".up"); err == nil {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the listener does not start")
		case <-time.After(5 * time.Millisecond):
		}
	}
	stop <- syscall.SIGINT
	select {
	case <-ended:
	case <-deadline:
		t.Fatal("does not stop")
	}
	if count() != 1 || !strings.Contains(out.String(), "stopped\n") {
		t.Errorf("%s", out)
	}
}
