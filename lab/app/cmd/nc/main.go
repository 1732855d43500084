// Command nc does what a pod's init container asks of netcat: it tells whether a
// port takes connections. It promises the exit status of the published image's
// own, which Debian's busybox was built without: `nc -z -w SECONDS HOST PORT`.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := pflag.NewFlagSet("nc", pflag.ContinueOnError)
	scan := flags.BoolP("zero", "z", false, "only tell whether somebody listens")
	verbose := flags.BoolP("verbose", "v", false, "say so in words")
	seconds := flags.IntP("wait", "w", 0, "give up after so many seconds")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !*scan || flags.NArg() != 2 {
		return errors.New("this one can only scan: nc -z [-v] [-w SECONDS] HOST PORT")
	}
	at := net.JoinHostPort(flags.Arg(0), flags.Arg(1))
	connection, err := net.DialTimeout("tcp", at, time.Duration(*seconds)*time.Second)
	if err != nil {
		return err
	}
	if *verbose {
		fmt.Println(at, "open")
	}
	return connection.Close()
}
