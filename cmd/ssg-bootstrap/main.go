// Command ssg-bootstrap makes a production-shape k3s box of an old PC.
package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cli"
)

func main() { os.Exit(run()) }

func run() int {
	home, err := os.UserHomeDir()
	if err != nil {
		// Without a home every path below it comes from a flag or an XDG
		// variable; the root folder is a safe answer for the rest.
		home = "/"
	}
	return cli.Main(context.Background(), os.Args[1:], cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Home: home, Now: time.Now, Exit: os.Exit,
		TTY: func() (io.WriteCloser, error) { return os.OpenFile("/dev/tty", os.O_WRONLY, 0) },
	})
}
