package host_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"strings"
	"testing"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// person answers questions and remembers them.
type person struct {
	yes     bool
	secrets []string
	asked   []string
}

func (p *person) Confirm(_ context.Context, question string) (bool, error) {
	p.asked = append(p.asked, question)
	return p.yes, nil
}

func (p *person) Secret(_ context.Context, what string) (secrets.Value, error) {
	p.asked = append(p.asked, what)
	if len(p.secrets) == 0 {
		return secrets.Value{}, fault.New(fault.NeedsAnswer, "", "nobody answers")
	}
	s := p.secrets[0]
	p.secrets = p.secrets[1:]
	return secrets.NewValue(s), nil
}

// unvouched is the box's target without a word for its key.
func unvouched(box *hosttest.Box) host.Target {
	t := box.Target()
	t.HostKeys = nil
	return t
}

func tryConnect(t *testing.T, target host.Target, o host.Options) error {
	t.Helper()
	c, err := host.Connect(t.Context(), target, o)
	if err == nil {
		_ = c.Close()
	}
	return err
}

func knownHosts(t *testing.T, target host.Target) string {
	t.Helper()
	data, err := os.ReadFile(target.KnownHostsFiles[0])
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

func TestAnUnknownKeyIsRefusedWhenNobodyCanBeAsked(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	target := unvouched(box)
	err := tryConnect(t, target, box.Options())
	if fault.CodeOf(err) != fault.HostKeyUnknown || !strings.Contains(fault.EvidenceOf(err), box.Fingerprint()) ||
		!strings.Contains(fault.NextOf(err), "--host-key "+box.Fingerprint()) {
		t.Errorf("got %v, evidence %q, next %q", err, fault.EvidenceOf(err), fault.NextOf(err))
	}
	if known := knownHosts(t, target); known != "" {
		t.Errorf("remembered %q", known)
	}
}

func TestAnUnknownKeyIsShownAskedForAndRemembered(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	target, o := unvouched(box), box.Options()
	no := &person{}
	o.Prompter = no
	if err := tryConnect(t, target, o); fault.CodeOf(err) != fault.HostKeyUnknown {
		t.Errorf("after a no: %v", err)
	}
	if len(no.asked) != 1 || !strings.Contains(no.asked[0], box.Fingerprint()) || !strings.Contains(no.asked[0], "ED25519") {
		t.Errorf("asked %q", no.asked)
	}
	o.Prompter = &person{yes: true}
	if err := tryConnect(t, target, o); err != nil {
		t.Fatal(err)
	}
	o.Prompter = nil
	if err := tryConnect(t, target, o); err != nil {
		t.Errorf("the second time: %v", err)
	}
	info, err := os.Stat(target.KnownHostsFiles[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want 0600", info, err)
	}
}

func TestAVouchedKeyIsRememberedAndAnotherRefused(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	target := box.Target()
	target.HostKeys = []string{"SHA256:something/else"}
	err := tryConnect(t, target, box.Options())
	if fault.CodeOf(err) != fault.HostKeyChanged || !strings.Contains(fault.EvidenceOf(err), "SHA256:something/else") {
		t.Errorf("got %v, evidence %q", err, fault.EvidenceOf(err))
	}
	if err := tryConnect(t, box.Target(), box.Options()); err != nil {
		t.Fatal(err)
	}
	if err := tryConnect(t, unvouched(box), box.Options()); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestAChangedKeyIsRefusedWithItsLineAndRepinnedOnDemand(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	target := box.Target()
	other := "# mine\nother.example ssh-unheard-of AAAA\n"
	shared := strings.Replace(knownhosts.Line([]string{target.Addr}, box.HostKey()), target.Addr, "alias.example,"+knownhosts.Normalize(addressOf(box)), 1)
	if err := os.WriteFile(target.KnownHostsFiles[0], []byte(other+shared), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tryConnect(t, unvouched(box), box.Options()); err != nil {
		t.Fatal(err)
	}
	before := knownHosts(t, target)
	box.ReplaceHostKey()
	o := box.Options()
	o.Prompter = &person{yes: true}
	err := tryConnect(t, unvouched(box), o)
	if fault.CodeOf(err) != fault.HostKeyChanged || !strings.Contains(fault.EvidenceOf(err), target.KnownHostsFiles[0]+":3") ||
		!strings.Contains(fault.NextOf(err), "--host-key "+box.Fingerprint()) {
		t.Fatalf("got %v, evidence %q, next %q", err, fault.EvidenceOf(err), fault.NextOf(err))
	}
	if now := knownHosts(t, target); now != before {
		t.Fatalf("a refused key changed the file to %q", now)
	}
	if err := tryConnect(t, box.Target(), box.Options()); err != nil {
		t.Fatalf("with the fingerprint: %v", err)
	}
	if err := tryConnect(t, unvouched(box), box.Options()); err != nil {
		t.Errorf("after re-pinning: %v", err)
	}
	after := knownHosts(t, target)
	if !strings.HasPrefix(after, other+"alias.example ssh-ed25519 ") || strings.Count(after, "\n") != 4 {
		t.Errorf("the file is now %q", after)
	}
	if old, err := os.ReadFile(target.KnownHostsFiles[0] + ".old"); err != nil || string(old) != before {
		t.Errorf("the old file is %q, %v", old, err)
	}
}

func addressOf(box *hosttest.Box) string { return box.Addr().String() }

func TestARevokedKeyIsRefusedEvenWhenVouchedFor(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	target := box.Target()
	line := "@revoked * " + string(ssh.MarshalAuthorizedKey(box.HostKey()))
	if err := os.WriteFile(target.KnownHostsFiles[0], []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tryConnect(t, target, box.Options()); fault.CodeOf(err) != fault.HostKeyChanged || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("got %v", err)
	}
}

func TestHashedFilesStayHashed(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	target := box.Target()
	line := xknownhosts.HashHostname("other.example") + " " + string(ssh.MarshalAuthorizedKey(box.HostKey()))
	if err := os.WriteFile(target.KnownHostsFiles[0], []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tryConnect(t, target, box.Options()); err != nil {
		t.Fatal(err)
	}
	if known := knownHosts(t, target); strings.Contains(known, "127.0.0.1") || strings.Count(known, "|1|") != 2 {
		t.Errorf("the file is now %q", known)
	}
	if err := tryConnect(t, unvouched(box), box.Options()); err != nil {
		t.Errorf("the second time: %v", err)
	}
	box.ReplaceHostKey()
	if err := tryConnect(t, box.Target(), box.Options()); err != nil {
		t.Errorf("re-pinning: %v", err)
	}
	if known := knownHosts(t, target); strings.Count(known, "\n") != 2 {
		t.Errorf("the file is now %q", known)
	}
}

// TestAKnownRSAKeyIsAskedFor is golang/go#29286: the server has a key of a
// preferred type besides, which is unknown and no sign of a change.
func TestAKnownRSAKeyIsAskedFor(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	box.AddHostKey(signer)
	target := unvouched(box)
	line := knownhosts.Line([]string{addressOf(box)}, signer.PublicKey()) + "\n"
	if err := os.WriteFile(target.KnownHostsFiles[0], []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tryConnect(t, target, box.Options()); err != nil {
		t.Errorf("got %v", err)
	}
	// The other way round, a fingerprint of the less preferred key is found.
	if err := os.Remove(target.KnownHostsFiles[0]); err != nil {
		t.Fatal(err)
	}
	target.HostKeys = []string{ssh.FingerprintSHA256(signer.PublicKey())}
	if err := tryConnect(t, target, box.Options()); err != nil {
		t.Errorf("with the RSA key's fingerprint: %v", err)
	}
}

func TestAReconnectInsistsOnTheSameKey(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	box.ReplaceHostKey()
	box.Link.Cut()
	_, err := c.Query(t.Context(), host.Command{Argv: []string{"true"}})
	if fault.CodeOf(err) != fault.HostKeyChanged {
		t.Errorf("got %v", err)
	}
}
