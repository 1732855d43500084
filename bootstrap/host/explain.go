package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// unreachable says why no connection came about.
func unreachable(t Target, err error) error {
	if errors.Is(err, context.Canceled) && !isTimeout(err) {
		err = fmt.Errorf("no answer in time: %w", errTimeout)
	}
	next := "check that the box is on and its cable plugged in, then `ssg-bootstrap doctor " + t.flag() + "`"
	var dns *net.DNSError
	if errors.As(err, &dns) {
		next = "check the host's name, or give its address: --host " + t.User + "@ADDRESS"
	}
	return &fault.Error{Code: fault.Unreachable, Op: "connect to " + t.String(), Err: err, Next: next}
}

var errTimeout = errors.New("timed out")

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// explain turns the end of a handshake into one of the catalogue's failures.
func (d *dialer) explain(t Target, l *login, k *keyCheck, err error) error {
	var known *fault.Error
	var other otherKeyError
	if errors.As(err, &other) {
		return err
	}
	// Without the library's "ssh: handshake failed" around it.
	if errors.As(err, &known) {
		return known
	}
	if noCommonKey(err) && len(k.db.HostKeyAlgorithms(t.keyAddress())) > 0 {
		return &fault.Error{
			Code: fault.HostKeyChanged, Op: "check the host key of " + t.String(), Err: err,
			Evidence: "the host has no key of the kind that is known for it",
		}
	}
	if !refused(err) {
		return unreachable(t, err)
	}
	return &fault.Error{
		Code:     fault.AuthRefused,
		Op:       "log in to " + t.String(),
		Err:      errors.New("the server refused user, key or password"),
		Evidence: strings.Join(append(l.tried, err.Error()), "\n"),
		Next:     fmt.Sprintf("check user and key with `ssh -v -p %d %s@%s`; a password can be given in SSG_SSH_PASSWORD", t.Port, t.User, t.Addr),
	}
}

// refused tells a refusal to let us in from a connection that broke.
func refused(err error) bool {
	var auth *ssh.ServerAuthError
	return errors.As(err, &auth) || strings.Contains(err.Error(), "unable to authenticate") ||
		strings.Contains(err.Error(), "no more tries") || strings.Contains(err.Error(), "nobody can be asked")
}
