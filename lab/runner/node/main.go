// Command node stands in for Node.js as far as the runner's service needs it: it
// does what bin/RunnerService.js does and runs nothing else.
//
// It keeps the promise that a unit meets the endings of the real service: the
// listener's exit codes decide whether it is started again, and the service
// itself ends with 0 in all cases.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// service starts the listener again and again.
type service struct {
	listener string
	out      io.Writer
	pause    time.Duration
	retries  int // how many in a row
	patience time.Duration
	stop     <-chan os.Signal
}

func main() {
	if len(os.Args) != 2 || filepath.Base(os.Args[1]) != "RunnerService.js" {
		fmt.Fprintln(os.Stderr, "the lab's node knows nothing but bin/RunnerService.js")
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	s := service{
		listener: filepath.Join(filepath.Dir(os.Args[1]), "Runner.Listener"),
		out:      os.Stdout, pause: 5 * time.Second, retries: 10, patience: 30 * time.Second, stop: stop,
	}
	s.run()
}

// run ends when the listener is not to be started again.
func (s service) run() {
	fmt.Fprintln(s.out, "Starting Runner listener with startup type: service")
	failures := 0
	for {
		begun := time.Now()
		code, stopped := s.once()
		if stopped {
			fmt.Fprintln(s.out, "Shutting down runner listener")
			return
		}
		switch code {
		case 0, 1, 5:
			fmt.Fprintf(s.out, "Runner listener exit with %d return code, stop the service, no retry needed.\n", code)
			return
		}
		// What has run for a while has not failed in a row.
		if time.Since(begun) > time.Minute {
			failures = 0
		}
		failures++
		if failures > s.retries {
			fmt.Fprintf(s.out, "Runner listener failed %d times in a row, stop the service.\n", failures)
			return
		}
		fmt.Fprintf(s.out, "Runner listener exit with %d return code, re-launch runner in %s.\n", code, s.pause)
		select {
		case <-time.After(s.pause):
		case <-s.stop:
			return
		}
	}
}

// once runs the listener and returns its exit code, and whether it ended
// because it was told to.
func (s service) once() (code int, stopped bool) {
	command := exec.Command(s.listener, "run", "--startuptype", "service")
	command.Stdout, command.Stderr = s.out, s.out
	if err := command.Start(); err != nil {
		fmt.Fprintf(s.out, "Runner listener does not start: %v\n", err)
		return 2, false
	}
	fmt.Fprintf(s.out, "Started listener process, pid: %d\n", command.Process.Pid)
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	select {
	case err := <-done:
		return exitCode(err), false
	case <-s.stop:
	}
	_ = command.Process.Signal(os.Interrupt) // one that has just ended needs none
	select {
	case <-done:
	case <-time.After(s.patience):
		_ = command.Process.Kill()
		<-done
	}
	return 0, true
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
