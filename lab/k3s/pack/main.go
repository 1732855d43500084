// Command pack makes the one file named k3s out of the launcher and the
// programs it carries. It keeps the promise that the same input gives the same
// bytes, so that checksums of a rebuilt release do not change.
//
//	pack -launcher L -out k3s -file bin/runc=PATH … -link bin/ip6tables=iptables …
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/payload"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error: pack k3s:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("pack", flag.ContinueOnError)
	launcher := fs.String("launcher", "", "launcher binary")
	out := fs.String("out", "", "file to write")
	var entries []payload.Entry
	add := func(make func(name, value string) payload.Entry) func(string) error {
		return func(arg string) error {
			name, value, ok := strings.Cut(arg, "=")
			if !ok || name == "" || value == "" {
				return fmt.Errorf("want NAME=VALUE, got %q", arg)
			}
			entries = append(entries, make(name, value))
			return nil
		}
	}
	fs.Func("file", "NAME=PATH: put the file at PATH into the payload as NAME (repeatable)",
		add(func(n, v string) payload.Entry { return payload.Entry{Name: n, Source: v} }))
	fs.Func("link", "NAME=TARGET: put a symbolic link into the payload (repeatable)",
		add(func(n, v string) payload.Entry { return payload.Entry{Name: n, Link: v} }))
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *launcher == "" || *out == "" || len(entries) == 0 {
		return errors.New("-launcher, -out and at least one -file are needed")
	}
	return write(*out, *launcher, entries)
}

// write goes through a temporary file: a build that was interrupted must not
// leave something that looks like a release.
func write(out, launcher string, entries []payload.Entry) error {
	f, err := os.OpenFile(out+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	err = payload.Pack(f, launcher, entries)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(out+".tmp"))
	}
	return os.Rename(out+".tmp", out)
}
