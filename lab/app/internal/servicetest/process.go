// Package servicetest starts the real services that the application talks to,
// on loopback and with folders of the test's own. It promises to skip where they
// are not installed, unless LAB_REQUIRES_SERVICES says that they must be.
package servicetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Find returns the path of a program of Debian's package, which may lie where
// only root looks.
func Find(t *testing.T, pkg string, candidates ...string) string {
	t.Helper()
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv("LAB_REQUIRES_SERVICES") == "1" {
		t.Fatalf("none of %q: apt-get install %s", candidates, pkg)
	}
	t.Skipf("needs Debian's %s", pkg)
	return ""
}

// Process is a service that runs.
type Process struct {
	command *exec.Cmd
	ended   chan struct{}
	log     string
}

// start runs a service until the test ends, in a process group of its own: some
// have children that outlive them.
func start(t *testing.T, dir string, env []string, argv ...string) *Process {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(argv[0], argv[1:]...)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{command: command, ended: make(chan struct{}), log: log.Name()}
	go func() {
		_ = command.Wait() // how it ended is in its log
		close(p.ended)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the service as a power cut does.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) // gone already is fine
	<-p.ended
}

// await waits until probe succeeds, as long as the service runs.
func (p *Process) await(t *testing.T, probe func() error) {
	t.Helper()
	deadline, tick := time.After(90*time.Second), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
			continue
		case <-p.ended:
			err = fmt.Errorf("it ended: %w", err)
		case <-deadline:
		}
		content, _ := os.ReadFile(p.log) // what there is of it
		t.Fatalf("wait for %s: %v\n%s", p.command.Args[0], err, content)
	}
}

// FreePort returns a port on which nobody listens, and keeps it until the test
// ends: one that was merely free a moment ago may be anybody's by the time a
// service has started. Bound and not listened on, it is passed over by the kernel
// and taken by a service that asks for it by number with SO_REUSEADDR, as they do.
func FreePort(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, &unix.SockaddrInet4{}))
	at, nameErr := unix.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(at.(*unix.SockaddrInet4).Port)
}
