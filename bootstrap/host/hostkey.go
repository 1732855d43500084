package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// keyCheck decides about one target's host key in one handshake.
type keyCheck struct {
	ctx    context.Context
	target Target
	opts   Options
	pause  func() (resume func())
	db     *knownhosts.HostKeyDB
	// names are the files' own names, by those that db read.
	names map[string]string
	// trusted is the key of this run's first connection; a reconnect must
	// find the same one even if the file could not be written.
	trusted ssh.PublicKey
	// seen is the key that was accepted.
	seen ssh.PublicKey
}

func newKeyCheck(ctx context.Context, t Target, o Options, trusted ssh.PublicKey, pause func() func()) (*keyCheck, error) {
	db, names, err := readKnownHosts(t.KnownHostsFiles, o)
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	return &keyCheck{ctx: ctx, target: t, opts: o, pause: pause, db: db, names: names, trusted: trusted}, nil
}

// algorithms are the key types to ask the server for: those that are known
// for it, so that a second key of the server is not taken for a changed one.
func (k *keyCheck) algorithms() []string {
	if k.trusted != nil {
		return signatures(k.trusted.Type())
	}
	if known := k.db.HostKeyAlgorithms(k.target.keyAddress()); len(known) > 0 {
		return known
	}
	var all []string
	for _, t := range keyTypes() {
		all = append(all, signatures(t)...)
	}
	return all
}

// keyTypes are the types of host keys in the order of preference.
func keyTypes() []string {
	return []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA}
}

func signatures(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// otherKeyError is a key that differs from the fingerprints that the user
// vouches for; the server may have another key that does not.
type otherKeyError struct{ error }

func (e otherKeyError) Unwrap() error { return e.error }

// check is the ssh.HostKeyCallback.
func (k *keyCheck) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	err := k.judge(key)
	if err == nil {
		k.seen = key
	}
	return err
}

func (k *keyCheck) judge(key ssh.PublicKey) error {
	print := ssh.FingerprintSHA256(key)
	vouched := slices.Contains(k.target.HostKeys, print)
	// The address is looked up by the name that we dialled, never by the IP
	// address that it resolved to, so the remote address plays no part.
	err := k.db.HostKeyCallback()(k.target.keyAddress(), &net.TCPAddr{IP: net.IPv4zero}, key)
	var revoked *xknownhosts.RevokedError
	var other *xknownhosts.KeyError
	switch {
	case errors.As(err, &revoked):
		return k.revoked(key, revoked)
	case len(k.target.HostKeys) > 0 && !vouched:
		return otherKeyError{k.notVouched(key)}
	case err == nil:
		return nil
	case k.trusted != nil:
		if string(k.trusted.Marshal()) == string(key.Marshal()) {
			return nil
		}
		return k.changed(key, nil)
	case !errors.As(err, &other):
		return fmt.Errorf("check host key: %w", err)
	case len(other.Want) > 0 && vouched:
		return k.repin(key, k.named(other.Want))
	case len(other.Want) > 0:
		return k.changed(key, k.named(other.Want))
	case vouched:
		return k.remember(key)
	}
	return k.confirm(key)
}

func (k *keyCheck) named(keys []xknownhosts.KnownKey) []xknownhosts.KnownKey {
	for i := range keys {
		keys[i].Filename = k.names[keys[i].Filename]
	}
	return keys
}

func (k *keyCheck) confirm(key ssh.PublicKey) error {
	print := ssh.FingerprintSHA256(key)
	unknown := &fault.Error{
		Code:     fault.HostKeyUnknown,
		Op:       "check the host key of " + k.target.String(),
		Err:      errors.New("this computer has not seen the host before"),
		Evidence: fmt.Sprintf("it presents the %s key %s", keyName(key), print),
		Next: "compare it with `ssh-keygen -lf /etc/ssh/ssh_host_" + keyFile(key) + "_key.pub` on the box, then add --host-key " +
			print,
	}
	if k.opts.Prompter == nil {
		return unknown
	}
	resume := k.pause()
	yes, err := k.opts.Prompter.Confirm(k.ctx, fmt.Sprintf(
		"%s is not known yet. It presents the %s key %s. Is that its key?", k.target, keyName(key), print))
	resume()
	if fault.CodeOf(err) == fault.NeedsAnswer {
		return unknown
	}
	if err != nil {
		return fmt.Errorf("ask about the host key: %w", err)
	}
	if !yes {
		unknown.Err = errors.New("its key was not confirmed")
		return unknown
	}
	return k.remember(key)
}

func (k *keyCheck) changed(key ssh.PublicKey, want []xknownhosts.KnownKey) error {
	print := ssh.FingerprintSHA256(key)
	evidence := fmt.Sprintf("it presents the %s key %s", keyName(key), print)
	for _, w := range want {
		evidence += fmt.Sprintf("\n%s:%d has the %s key %s", w.Filename, w.Line, keyName(w.Key), ssh.FingerprintSHA256(w.Key))
	}
	return &fault.Error{
		Code:     fault.HostKeyChanged,
		Op:       "check the host key of " + k.target.String(),
		Err:      errors.New("the host presents another key than the one that is known"),
		Evidence: evidence,
		Next: "if you reinstalled the box, compare the fingerprint on its screen (`ssh-keygen -lf /etc/ssh/ssh_host_" + keyFile(key) +
			"_key.pub`) and run the same command with --host-key " + print + "; if not, somebody may be in between: do not connect",
	}
}

func (k *keyCheck) notVouched(key ssh.PublicKey) error {
	return &fault.Error{
		Code:     fault.HostKeyChanged,
		Op:       "check the host key of " + k.target.String(),
		Err:      errors.New("the host's key is not the one given by --host-key or the configuration"),
		Evidence: fmt.Sprintf("it presents the %s key %s\nexpected %s", keyName(key), ssh.FingerprintSHA256(key), strings.Join(k.target.HostKeys, " or ")),
	}
}

func (k *keyCheck) revoked(key ssh.PublicKey, r *xknownhosts.RevokedError) error {
	return &fault.Error{
		Code:     fault.HostKeyChanged,
		Op:       "check the host key of " + k.target.String(),
		Err:      errors.New("the host presents a key that is marked as revoked"),
		Evidence: fmt.Sprintf("%s:%d revokes the %s key %s", k.names[r.Revoked.Filename], r.Revoked.Line, keyName(key), ssh.FingerprintSHA256(key)),
		Next:     "do not connect; make new host keys on the box (`ssh-keygen -A` after removing /etc/ssh/ssh_host_*)",
	}
}

// keyName is the key's type as people know it.
func keyName(key ssh.PublicKey) string {
	return strings.ToUpper(keyFile(key))
}

func keyFile(key ssh.PublicKey) string {
	switch t := key.Type(); {
	case strings.HasPrefix(t, "ecdsa-"):
		return "ecdsa"
	case t == ssh.KeyAlgoRSA:
		return "rsa"
	default:
		return strings.TrimPrefix(t, "ssh-")
	}
}
