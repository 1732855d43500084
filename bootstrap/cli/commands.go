package cli

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Commands returns the tree of all commands for what is made from it: the
// reference, the man pages and the completion scripts. It belongs to a process
// without streams, home and variables, so that it says the same everywhere.
func Commands() *cobra.Command {
	return newRoot(newApp(nil, Env{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
		Getenv: func(string) string { return "" },
		Home:   "/nonexistent",
		Now:    func() time.Time { return time.Time{} },
		TTY:    func() (io.WriteCloser, error) { return nil, errors.New("no terminal") },
		Exit:   func(int) {},
	}))
}
