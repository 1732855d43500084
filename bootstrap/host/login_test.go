package host_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/porttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

func TestPasswordLogin(t *testing.T) {
	for _, interactive := range []bool{false, true} {
		box := hosttest.New(t, hosttest.Config{Password: "right", NoKey: true, Interactive: interactive})
		o := box.Options()
		o.SSHPassword = secrets.NewValue("right")
		if err := tryConnect(t, box.Target(), o); err != nil {
			t.Errorf("interactive %v, given: %v", interactive, err)
		}
		o.SSHPassword = secrets.NewValue("wrong")
		err := tryConnect(t, box.Target(), o)
		if fault.CodeOf(err) != fault.AuthRefused || strings.Contains(err.Error()+fault.EvidenceOf(err), "wrong") {
			t.Errorf("interactive %v, wrong: %v, evidence %q", interactive, err, fault.EvidenceOf(err))
		}
		o.SSHPassword = secrets.Value{}
		p := &person{secrets: []string{"mistyped", "right"}}
		o.Prompter = p
		if err := tryConnect(t, box.Target(), o); err != nil || len(p.asked) != 2 {
			t.Errorf("interactive %v, asked %q: %v", interactive, p.asked, err)
		}
		o.Prompter = &person{}
		err = tryConnect(t, box.Target(), o)
		if fault.CodeOf(err) != fault.AuthRefused || !strings.Contains(fault.EvidenceOf(err), "nobody can be asked") {
			t.Errorf("interactive %v, without a terminal: %v, evidence %q", interactive, err, fault.EvidenceOf(err))
		}
	}
}

func TestAReconnectAsksForNothingAgain(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{Password: "right", NoKey: true, SudoPassword: "root's"})
	o := box.Options()
	p := &person{secrets: []string{"right", "root's"}}
	o.Prompter, o.SudoPassword = p, secrets.Value{}
	c := connect(t, box.Target(), o)
	defer c.Close()
	for range 3 {
		if _, err := c.Query(t.Context(), host.Command{Argv: []string{"true"}, Root: true}); err != nil {
			t.Fatal(err)
		}
		box.Link.Cut()
	}
	if len(p.asked) != 2 {
		t.Errorf("asked %q", p.asked)
	}
}

func TestWrongUserAndWrongKeyAreRefused(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	target := box.Target()
	target.User = "nobody"
	if err := tryConnect(t, target, box.Options()); fault.CodeOf(err) != fault.AuthRefused || fault.ExitOf(err) != fault.ExitUnreachable {
		t.Errorf("wrong user: %v", err)
	}
	target = box.Target()
	other := filepath.Join(t.TempDir(), "id")
	writeKey(t, other)
	target.IdentityFiles = []string{other, "/nonexistent/id_rsa"}
	err := tryConnect(t, target, box.Options())
	if fault.CodeOf(err) != fault.AuthRefused || !strings.Contains(fault.EvidenceOf(err), other) || strings.Contains(fault.EvidenceOf(err), "/nonexistent") {
		t.Errorf("wrong key: %v, evidence %q", err, fault.EvidenceOf(err))
	}
}

// encryptedKey lets a user in with a key that needs a passphrase.
func encryptedKey(t *testing.T, box *hosttest.Box, passphrase string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "locked")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	box.WriteFile("/home/ssg/.ssh/authorized_keys", string(ssh.MarshalAuthorizedKey(key)), 0o600)
	return path
}

func TestAnEncryptedKeyIsOpenedOnlyWhenTheServerTakesIt(t *testing.T) {
	t.Parallel()
	box := hosttest.New(t, hosttest.Config{})
	locked := encryptedKey(t, box, "open sesame")
	target, o := box.Target(), box.Options()
	working := target.IdentityFiles[0]
	target.IdentityFiles = []string{locked}
	if err := tryConnect(t, target, o); fault.CodeOf(err) != fault.AuthRefused || !strings.Contains(fault.EvidenceOf(err), "ssh-add") {
		t.Errorf("nobody to ask: %v, evidence %q", err, fault.EvidenceOf(err))
	}
	p := &person{secrets: []string{"open sesame"}}
	o.Prompter = p
	if err := tryConnect(t, target, o); err != nil || len(p.asked) != 1 {
		t.Errorf("asked %q: %v", p.asked, err)
	}
	p = &person{}
	o.Prompter = p
	target.IdentityFiles = []string{working, locked}
	if err := tryConnect(t, target, o); err != nil || len(p.asked) != 0 {
		t.Errorf("asked %q although another key fits: %v", p.asked, err)
	}
}

// TestMistypedPassphrases uses the older format of keys, whose public half is
// in a file beside it; its passphrases are cheap to try.
func TestMistypedPassphrases(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 people have such keys, and nothing else makes them
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte("open sesame"), x509.PEMCipherAES128)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	target, o := box.Target(), box.Options()
	target.IdentityFiles = []string{filepath.Join(t.TempDir(), "old")}
	public := ssh.MarshalAuthorizedKey(key)
	box.WriteFile("/home/ssg/.ssh/authorized_keys", string(public), 0o600)
	for name, data := range map[string][]byte{"": pem.EncodeToMemory(block), ".pub": public} {
		if err := os.WriteFile(target.IdentityFiles[0]+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &person{secrets: []string{"mistyped", "twice", "open sesame"}}
	o.Prompter = p
	if err := tryConnect(t, target, o); err != nil || len(p.asked) != 3 {
		t.Errorf("asked %q: %v", p.asked, err)
	}
	o.Prompter = &person{secrets: []string{"a", "b", "c", "open sesame"}}
	if err := tryConnect(t, target, o); fault.CodeOf(err) != fault.AuthRefused {
		t.Errorf("three wrong passphrases: %v", err)
	}
}

func TestTheAgentsKeysAreUsed(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	box.WriteFile("/home/ssg/.ssh/authorized_keys", string(ssh.MarshalAuthorizedKey(key)), 0o600)
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "a")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _ = agent.ServeAgent(ring, c) }()
		}
	}()
	target, o := box.Target(), box.Options()
	target.IdentityFiles = nil
	o.AgentSocket = socket
	if err := tryConnect(t, target, o); err != nil {
		t.Errorf("got %v", err)
	}
	target.IdentitiesOnly = true
	if err := tryConnect(t, target, o); fault.CodeOf(err) != fault.AuthRefused {
		t.Errorf("with IdentitiesOnly: %v", err)
	}
}

func TestSudo(t *testing.T) {
	t.Parallel()
	root := host.Command{Argv: []string{"cat"}, Root: true, Stdin: []byte("payload")}
	for name, c := range map[string]struct {
		cfg   hosttest.Config
		given string
		typed []string
		code  fault.Code
		why   string
		asked int
	}{
		"no password needed":       {cfg: hosttest.Config{}},
		"given and not needed":     {cfg: hosttest.Config{}, given: "pw"},
		"given":                    {cfg: hosttest.Config{SudoPassword: "pw"}, given: "pw"},
		"given and wrong":          {cfg: hosttest.Config{SudoPassword: "pw"}, given: "bad", code: fault.SudoRefused, why: "SSG_SUDO_PASSWORD"},
		"typed at the third try":   {cfg: hosttest.Config{SudoPassword: "pw"}, typed: []string{"a", "b", "pw"}, asked: 3},
		"typed wrong three times":  {cfg: hosttest.Config{SudoPassword: "pw"}, typed: []string{"a", "b", "c", "pw"}, asked: 3, code: fault.SudoRefused},
		"nobody there to ask":      {cfg: hosttest.Config{SudoPassword: "pw"}, code: fault.SudoRefused, why: "asks for a password"},
		"not in the sudo group":    {cfg: hosttest.Config{NoSudo: true}, code: fault.SudoRefused, why: "sudo refused"},
		"root needs no permission": {cfg: hosttest.Config{User: "root", NoSudo: true}},
	} {
		t.Run(name, func(t *testing.T) {
			box := hosttest.New(t, c.cfg)
			o := box.Options()
			o.SudoPassword = secrets.NewValue(c.given)
			p := &person{secrets: c.typed}
			if c.typed != nil {
				o.Prompter = p
			}
			client := connect(t, box.Target(), o)
			defer client.Close()
			for range 2 {
				out, err := client.Run(t.Context(), root)
				if c.code == "" && (err != nil || string(out) != "payload") {
					t.Fatalf("got %q, %v", out, err)
				}
				if c.code != "" {
					if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.why) {
						t.Fatalf("got %v, evidence %q", err, fault.EvidenceOf(err))
					}
					break
				}
			}
			if len(p.asked) != c.asked {
				t.Errorf("asked %q", p.asked)
			}
			for _, line := range box.Wire() {
				if c.given != "" && strings.Contains(line, c.given) || strings.Contains(line, "payload") {
					t.Errorf("a secret crossed the wire in a command line: %s", line)
				}
			}
		})
	}
}

func TestJumpsCheckEveryHostKey(t *testing.T) {
	first, second, box := hosttest.New(t, hosttest.Config{}), hosttest.New(t, hosttest.Config{}), hosttest.New(t, hosttest.Config{})
	target := box.Target()
	target.Jumps = []host.Target{first.Target(), second.Target()}
	c := connect(t, target, box.Options())
	defer c.Close()
	out, err := c.Query(t.Context(), host.Command{Argv: []string{"echo", "through"}})
	if err != nil || string(out) != "through\n" || first.Link.Accepted() != 1 || second.Link.Accepted() != 1 {
		t.Fatalf("got %q, %v", out, err)
	}
	first.Link.Cut()
	if out, err = c.Query(t.Context(), host.Command{Argv: []string{"echo", "again"}}); err != nil || string(out) != "again\n" {
		t.Errorf("after a cut of the jump: %q, %v", out, err)
	}
	for i, jump := range []*hosttest.Box{first, second} {
		stranger := target
		stranger.Jumps = slices.Clone(target.Jumps)
		stranger.Jumps[i] = unvouched(jump)
		stranger.Jumps[i].KnownHostsFiles = []string{filepath.Join(t.TempDir(), "none")}
		if err := tryConnect(t, stranger, box.Options()); fault.CodeOf(err) != fault.HostKeyUnknown {
			t.Errorf("jump %d of unknown key: %v", i, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	target := host.Target{Name: "gone", User: "u", Addr: "127.0.0.1", Port: porttest.Keep(t)}
	err := tryConnect(t, target, host.Options{})
	if fault.CodeOf(err) != fault.Unreachable || !strings.Contains(fault.NextOf(err), "doctor --host gone") || fault.ExitOf(err) != fault.ExitUnreachable {
		t.Errorf("closed port: %v, next %q", err, fault.NextOf(err))
	}
	// Something that answers and is no SSH server, and something silent.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target.Port = l.Addr().(*net.TCPAddr).Port
	start := time.Now()
	err = tryConnect(t, target, host.Options{DialTimeout: 300 * time.Millisecond})
	if fault.CodeOf(err) != fault.Unreachable || time.Since(start) > 5*time.Second {
		t.Errorf("silence: %v after %s", err, time.Since(start))
	}
	box := hosttest.New(t, hosttest.Config{})
	box.Link.Refuse(true)
	if err := tryConnect(t, box.Target(), box.Options()); fault.CodeOf(err) != fault.Unreachable {
		t.Errorf("closed at once: %v", err)
	}
}
