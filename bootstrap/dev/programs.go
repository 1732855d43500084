package dev

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Programs runs the programs of this computer.
type Programs struct{}

// SaidError is a program that failed, and its last words.
type SaidError struct {
	Program string
	// Said is the end of what it printed.
	Said string
	Err  error
}

// Error names the program and how it ended.
func (e *SaidError) Error() string { return e.Program + ": " + e.Err.Error() }

// Unwrap returns how it ended.
func (e *SaidError) Unwrap() error { return e.Err }

// Find looks where the shell would.
func (Programs) Find(name string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed on this computer", name)
	}
	return nil
}

// Run runs a program without a terminal. When ctx ends, the program is asked to
// stop as by Ctrl-C, and killed if it does not.
func (Programs) Run(ctx context.Context, argv []string, seen func(string)) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return interrupt(cmd.Process) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	said := &lastWords{seen: seen}
	lines, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, w), w
	var listening sync.WaitGroup
	listening.Go(func() { said.listen(lines) })
	err := cmd.Run()
	_ = w.Close()
	listening.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, &SaidError{Program: argv[0], Said: said.text(), Err: err}
	}
	return out.Bytes(), nil
}

// lastWords remembers the end of what a program says.
type lastWords struct {
	seen  func(string)
	lines []string
}

func (l *lastWords) listen(r *io.PipeReader) {
	const enough = 12
	s := bufio.NewScanner(r)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line == "" {
			continue
		}
		if l.lines = append(l.lines, line); len(l.lines) > enough {
			l.lines = l.lines[1:]
		}
		if l.seen != nil {
			l.seen(line)
		}
	}
	// A line too long to show: the program must not wait for a reader.
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		_, _ = io.Copy(io.Discard, r)
	}
}

func (l *lastWords) text() string { return strings.Join(l.lines, "\n") }
