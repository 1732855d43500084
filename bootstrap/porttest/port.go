//go:build unix

// Package porttest has ports for programs that a test starts.
//
// It keeps the promise that the port is there when the program comes to listen,
// and again when it is started anew: in between, no other test is given it, and
// no connection is made from it.
package porttest

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

// Keep returns a port of this computer on which nobody listens, and keeps it
// until the test ends. A port that was merely free a moment ago may be anybody's
// by the time a program has started. Bound and not listened on, it is passed
// over by the kernel, and taken by a program that asks for it by number with
// SO_REUSEADDR, as servers do.
func Keep(t testing.TB) int {
	t.Helper()
	fd, port, err := bind()
	if err != nil {
		t.Fatalf("keep a port: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	return port
}

func bind() (fd, port int, err error) {
	// A program that is started meanwhile must not inherit it.
	syscall.ForkLock.RLock()
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, 0, fmt.Errorf("make a socket: %w", err)
	}
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{}),
	)
	at, nameErr := syscall.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		return 0, 0, errors.Join(err, syscall.Close(fd))
	}
	return fd, at.(*syscall.SockaddrInet4).Port, nil
}
