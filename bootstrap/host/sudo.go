package host

import (
	"context"
	"errors"
	"sync"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// sudo makes the login root. Whether a password is needed is left to each
// start of sudo: it asks, with a prompt that nobody can guess, or the command
// says that it runs. Sudo remembers nothing for us: it keeps that it was
// satisfied for one session ID, and sshd gives each command of a connection its
// own (seen with sudo 1.9.16). So a command as root costs the box a password's
// hash, and what waits on the box waits in one command.
type sudo struct {
	user     string
	prompter Prompter

	mu    sync.Mutex
	given secrets.Value
	typed secrets.Value
	asked int
}

// command returns the words that go before a command to run it as root; none
// if the login is.
func (s *sudo) command(prompt string) []string {
	if s.user == "root" {
		return nil
	}
	return []string{"sudo", "-S", "-p", prompt}
}

// password returns the password to try. rejected is the one that sudo just
// refused, if any. One prompt at a time: commands that run side by side wait
// for the same answer.
func (s *sudo) password(ctx context.Context, rejected secrets.Value) (secrets.Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.typed.Empty() && s.typed != rejected {
		return s.typed, nil
	}
	if s.typed.Empty() && !s.given.Empty() && s.given != rejected {
		return s.given, nil
	}
	if !s.given.Empty() {
		return secrets.Value{}, s.refused("the password in SSG_SUDO_PASSWORD is wrong")
	}
	if s.prompter == nil {
		return secrets.Value{}, s.refused("sudo asks for a password")
	}
	if s.asked == tries {
		return secrets.Value{}, s.refused("wrong password")
	}
	s.asked++
	p, err := s.prompter.Secret(ctx, "Password of "+s.user+" for sudo")
	if fault.CodeOf(err) == fault.NeedsAnswer {
		return secrets.Value{}, s.refused("sudo asks for a password and there is no terminal to ask on")
	}
	if err != nil {
		return secrets.Value{}, err
	}
	s.typed = p
	return p, nil
}

func (s *sudo) refused(why string) error {
	return &fault.Error{
		Code: fault.SudoRefused,
		Op:   "become root as " + s.user,
		Err:  errors.New(why),
		Next: "set SSG_SUDO_PASSWORD, or answer the prompt in a terminal; " + s.user + " must be in the sudo group",
	}
}
