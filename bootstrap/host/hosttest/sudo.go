package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// sudoModel behaves as sudo does without a terminal: -n never asks, -S asks
// on stderr and reads the password from stdin byte by byte, up to three times.
func sudoModel(c *Call) int {
	var prompt string
	var fromStdin, never bool
	args := c.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		a := args[0]
		args = args[1:]
		switch a {
		case "-n":
			never = true
		case "-S":
			fromStdin = true
		case "-k", "-H", "--":
		case "-p":
			prompt, args = args[0], args[1:]
		default:
			c.Box.fail("sudo %s is not modelled", a)
			return 1
		}
	}
	b := c.Box
	switch {
	case c.Root:
	case b.cfg.NoSudo:
		return c.Errorf("%s is not in the sudoers file.", b.cfg.User)
	case b.cfg.SudoPassword == "":
	case never:
		return c.Errorf("sudo: a password is required")
	case !fromStdin:
		return c.Errorf("sudo: a terminal is required to read the password; either use the -S option")
	case !askSudo(c, prompt):
		return 1
	}
	return c.As(true, args)
}

func askSudo(c *Call, prompt string) bool {
	for try := 1; ; try++ {
		fmt.Fprint(c.Stderr, prompt)
		line, err := readLine(c.Stdin)
		if err == nil && line == c.Box.cfg.SudoPassword {
			return true
		}
		if err != nil {
			c.Errorf("\nsudo: no password was provided")
			return false
		}
		if try == 3 {
			c.Errorf("sudo: 3 incorrect password attempts")
			return false
		}
		fmt.Fprintln(c.Stderr, "Sorry, try again.")
	}
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	var one [1]byte
	for {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return "", err
		}
		if one[0] == '\n' {
			return string(line), nil
		}
		line = append(line, one[0])
	}
}

// flockModel is flock -n -E STATUS FILE COMMAND…: the lock lives as long as
// the command.
func flockModel(c *Call) int {
	args := c.Args[1:]
	conflict := 1
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-E" {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return c.Errorf("flock: bad exit status")
			}
			conflict, args = n, args[1:]
		}
		args = args[1:]
	}
	path, b := c.abs(args[0]), c.Box
	b.WriteFile(path, "", 0o644)
	power := b.powered()
	b.mu.Lock()
	held := b.locks[path]
	b.locks[path] = true
	b.mu.Unlock()
	if held {
		return conflict
	}
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		// After a power cut the lock may be somebody else's.
		if power.Err() == nil {
			delete(b.locks, path)
		}
	}()
	return c.Exec(args[1:])
}

// timeoutModel ends a command after a time, with status 124.
func timeoutModel(c *Call, limit string, argv []string) int {
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(limit, "s"), 64)
	if err != nil {
		c.Box.fail("timeout %s is not modelled", limit)
		return 125
	}
	ctx, cancel := context.WithTimeout(c.Ctx, time.Duration(seconds*float64(time.Second)))
	defer cancel()
	call := *c
	call.Ctx = ctx
	status := call.Exec(argv)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return 124
	}
	return status
}
