// Package cli is the command line.
//
// It keeps the promise that what the user typed is what happens: every command
// says what it will do, asks only what cannot be known, prints its answer to
// standard output and all else to standard error, ends an error with the next
// command, and returns one of the documented exit statuses.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

// Env is the world as the program sees it; main fills it in from the process.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Home           string
	Now            func() time.Time
	// TTY opens the terminal for writing, wherever the streams lead.
	TTY func() (io.WriteCloser, error)
	// Exit ends the process at once; it is called on the second Ctrl-C.
	Exit func(int)
}

// Main runs one command line and returns its exit status.
func Main(ctx context.Context, args []string, env Env) int {
	a := newApp(args, env)
	ctx, stop := a.interruptible(ctx)
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	stop()
	a.close()
	return int(a.finish(cmd, err))
}

// interruption is what a run that the user stopped ends with. It is a cancelled
// context for everyone who asks.
type interruption struct{}

func (interruption) Error() string        { return "stopped by Ctrl-C" }
func (interruption) Is(target error) bool { return target == context.Canceled }

// interruptible ends ctx on the first Ctrl-C or SIGTERM, so that the run stops
// between two commands and says how to continue; the second one exits.
func (a *app) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	var listening, telling sync.WaitGroup
	listening.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			if n > 0 {
				a.env.Exit(int(fault.ExitInterrupted))
			}
			cancel(interruption{})
			// Behind a question that is open, and never in the way of the
			// second signal.
			telling.Go(a.announceStop)
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
		listening.Wait()
		telling.Wait()
	}
}

// finish prints the outcome once, at the edge.
func (a *app) finish(cmd *cobra.Command, err error) fault.Exit {
	err = a.edge(cmd, err)
	if a.mode() == report.JSON && (err != nil || a.answered) {
		r := report.NewResult(cmd.Name(), a.data, err)
		if writeErr := r.Write(a.env.Stdout); writeErr != nil && err == nil {
			return fault.ExitFailed
		}
		return r.Exit
	}
	if err != nil && fault.CodeOf(err) != fault.ChangesFound {
		report.WriteError(a.env.Stderr, err, a.width())
	}
	return fault.ExitOf(err)
}

// edge gives errors that come from outside our own code their code and their
// next command.
func (a *app) edge(cmd *cobra.Command, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		// Which step was stopped first is chance, and each one says so itself.
		return &fault.Error{
			Code: fault.Interrupted, Err: interruption{},
			Next: "continue with the same command, finished work is not repeated: " + a.typed(),
		}
	case !a.started && fault.CodeOf(err) == fault.Unclassified:
		return &fault.Error{Code: fault.Usage, Err: err, Next: "see `" + cmd.CommandPath() + " --help`"}
	}
	return a.named(err)
}

// named puts into a next command what it leaves open: the host's name, and the
// configuration that was named on this command line.
func (a *app) named(err error) error {
	next := fault.NextOf(err)
	full := a.ours(next)
	if a.host != "" {
		full = strings.ReplaceAll(full, "HOST", a.host)
	}
	if full == next {
		return err
	}
	return &fault.Error{Code: fault.CodeOf(err), Err: err, Next: full}
}

// ours adds --config to the commands in a text when this run was given one: typed
// as they stand they would read another configuration.
func (a *app) ours(text string) string {
	if a.config == "" {
		return text
	}
	return regexp.MustCompile(`\b`+program+` ([a-z])`).ReplaceAllString(text, program+" --config "+strings.ReplaceAll(quoted(a.config), "$", "$$")+" $1")
}

// typed is the command line as the user could type it again. No flag takes a
// secret, so it is safe to print.
func (a *app) typed() string {
	words := []string{program}
	for _, arg := range a.args {
		words = append(words, quoted(arg))
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell takes it.
func quoted(arg string) string {
	if arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`&|;<>()*?#~!{}[]") {
		return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return arg
}
