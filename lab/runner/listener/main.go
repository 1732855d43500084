// Command listener is the lab's Runner.Listener: it registers a runner, asks for
// work and obeys, but runs no jobs.
//
// It keeps the promise that an installer meets what GitHub's own would show it:
// the same options from the command line and from the environment, the same
// files with the same modes, and the same exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// version is filled in by the linker.
var version = "0.0.0"

// Exit codes of the listener, which the service goes by.
const (
	exitDone       = 0
	exitTerminated = 1
	exitUpdating   = 3
	exitConflict   = 5
)

// installation is the folder that the package was unpacked to.
type installation struct {
	root     string
	out      io.Writer
	complain io.Writer
	lookup   func(name string) (string, bool) // the environment
}

func main() {
	// A service is stopped by an interrupt, and a shell starts what runs in the
	// background with interrupts ignored; being notified undoes that.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitTerminated)
	}
	here := installation{root: filepath.Dir(filepath.Dir(program)), out: os.Stdout, complain: os.Stderr, lookup: os.LookupEnv}
	os.Exit(here.do(ctx, os.Args[1:]))
}

// do runs one command and returns the exit code.
func (i installation) do(ctx context.Context, args []string) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	var err error
	switch verb {
	case "configure":
		if len(args) > 1 && args[1] == "--version" {
			fmt.Fprintln(i.out, version)
			return exitDone
		}
		err = i.configure(ctx, args[1:])
	case "remove":
		err = i.remove(ctx, args[1:])
	case "run":
		return i.run(ctx)
	case "--version":
		fmt.Fprintln(i.out, version)
	default:
		err = errors.New("usage: Runner.Listener configure|remove|run|--version")
	}
	if err != nil {
		fmt.Fprintln(i.complain, err)
		return exitTerminated
	}
	return exitDone
}

func (i installation) file(parts ...string) string {
	return filepath.Join(append([]string{i.root}, parts...)...)
}

// say prints what went well.
func (i installation) say(format string, args ...any) {
	fmt.Fprintf(i.out, "√ "+format+"\n", args...)
}
