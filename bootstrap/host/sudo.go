package host

import (
	"context"
	"errors"
	"sync"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// How the login becomes root. It is found out by the first command that needs
// it, not by a probe of its own: each start of sudo costs the box's CPU a
// tenth of a second and the link a round trip.
type sudoMode int

const (
	sudoUnknown sudoMode = iota
	sudoFree
	sudoPassword
)

type sudo struct {
	user     string
	prompter Prompter

	mu    sync.Mutex
	mode  sudoMode
	given secrets.Value
	typed secrets.Value
	asked int
}

// command returns the words that go before a command to run it as root.
// -k makes sudo ask even if it was satisfied a moment ago, so that there is
// never a doubt whether the first line of the input is the password's.
func (s *sudo) command(prompt string) ([]string, sudoMode) {
	if s.user == "root" {
		return nil, sudoFree
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == sudoFree {
		return []string{"sudo", "-n"}, sudoFree
	}
	return []string{"sudo", "-S", "-k", "-p", prompt}, s.mode
}

// settled notes what the first command found out.
func (s *sudo) settled(prompted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = sudoFree
	if prompted {
		s.mode = sudoPassword
	}
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
