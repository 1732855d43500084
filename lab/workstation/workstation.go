// Package workstation installs on this computer what the lab needs, and runs
// what only root may. It keeps the promise that nothing is asked for, neither a
// password nor the network, where nothing is missing, and that whoever may not
// become root is told the line to give to somebody who may.
package workstation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"syscall"
	"time"
)

// Owner is who uses this computer.
type Owner struct{ UID int }

// Here is the owner of this process.
func Here() Owner { return Owner{UID: os.Getuid()} }

// AsRoot returns a command that runs as root: directly, or through sudo, which
// may ask for the owner's password on the terminal.
func (o Owner) AsRoot(ctx context.Context, args ...string) *exec.Cmd {
	if o.UID != 0 {
		args = append([]string{"sudo"}, args...)
	}
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	// Asked to stop, all of a script's tools tidy up; killed, they cannot. Under
	// sudo only the terminal can ask: it does, and a group of its own would keep
	// sudo from the terminal where it asks for the password.
	if o.UID == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) }
		// `su` leaves root with the PATH of whoever typed it, and without these
		// dpkg installs nothing.
		command.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	} else {
		command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	}
	command.WaitDelay = 20 * time.Second
	return command
}

// MayBeRoot says what to do where there is no way to become root.
func (o Owner) MayBeRoot() error {
	if o.UID == 0 {
		return nil
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		return fmt.Errorf("this needs root, and there is no sudo here: as root, `apt-get install sudo` and `adduser %s sudo`; log in anew, then run the same command again", o.name())
	}
	return nil
}

func (o Owner) name() string {
	if known, err := user.LookupId(fmt.Sprint(o.UID)); err == nil {
		return known.Username
	}
	return "YOU"
}

// Install installs packages with apt.
func (o Owner) Install(ctx context.Context, log *slog.Logger, packages []string, options ...string) error {
	line := "apt-get install --yes --no-install-recommends " + strings.Join(packages, " ")
	if o.MayBeRoot() != nil {
		return fmt.Errorf("packages are missing, and there is no sudo here; as root, `apt-get update` and `%s`, then run the same command again", line)
	}
	log.Info("installing with apt", "packages", strings.Join(packages, " "))
	if err := o.apt(ctx, append(options, "update")...); err != nil {
		return o.explain("update package lists", line, err)
	}
	install := append(options, "install", "--yes", "--no-install-recommends")
	if err := o.apt(ctx, append(install, packages...)...); err != nil {
		return o.explain("install "+strings.Join(packages, " "), line, err)
	}
	return nil
}

// refusal is what sudo ends with when it says no, in whatever language. apt
// ends its own failures with 100, and sudo passes that on.
const refusal = 1

// refusedError is sudo's no.
type refusedError struct{ said string }

func (e refusedError) Error() string { return e.said }

func (o Owner) explain(what, line string, err error) error {
	var refused refusedError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: %w; as root, `apt-get update` and `%s`, then run the same command again", what, err, line)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (o Owner) apt(ctx context.Context, args ...string) error {
	// Another apt, such as a desktop's, ends within minutes.
	args = append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-oDPkg::Lock::Timeout=300"}, args...)
	out, err := o.AsRoot(ctx, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	said := tail(string(out), 10)
	var ended *exec.ExitError
	if o.UID != 0 && ctx.Err() == nil && errors.As(err, &ended) && ended.ExitCode() == refusal {
		return refusedError{said}
	}
	return fmt.Errorf("%w: %s", errors.Join(err, ctx.Err()), said)
}

// tail is the end of what a program said.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
