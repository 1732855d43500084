package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// tries is how often a person may mistype a secret.
const tries = 3

// credentials hold what the user gave during one run, so that a reconnect
// asks for nothing again.
type credentials struct {
	opts Options

	mu          sync.Mutex
	passphrases map[string]secrets.Value
	passwords   map[string]secrets.Value
}

func newCredentials(o Options) *credentials {
	return &credentials{
		opts:        o,
		passphrases: make(map[string]secrets.Value),
		passwords:   make(map[string]secrets.Value),
	}
}

// login is one attempt to log in to one target.
type login struct {
	creds  *credentials
	target Target
	ctx    context.Context
	// pause lifts the handshake's deadline while a person thinks.
	pause func() (resume func())
	// tried tells the user afterwards what was offered.
	tried []string
	asked int
	used  bool
	// agent is closed after the handshake.
	agent net.Conn
}

func (l *login) methods() []ssh.AuthMethod {
	return []ssh.AuthMethod{
		ssh.PublicKeysCallback(l.signers),
		ssh.RetryableAuthMethod(ssh.PasswordCallback(l.password), tries+1),
		ssh.RetryableAuthMethod(ssh.KeyboardInteractive(l.interactive), tries+1),
	}
}

func (l *login) close() {
	if l.agent != nil {
		_ = l.agent.Close()
	}
}

// signers returns the agent's keys, then the identity files.
func (l *login) signers() ([]ssh.Signer, error) {
	files := l.identities()
	var out []ssh.Signer
	for _, s := range l.agentSigners() {
		if l.target.IdentitiesOnly && !containsKey(files, s.PublicKey()) {
			continue
		}
		out = append(out, s)
		l.tried = append(l.tried, "agent key "+ssh.FingerprintSHA256(s.PublicKey()))
	}
	for _, s := range files {
		if containsKey(out, s.PublicKey()) {
			continue
		}
		out = append(out, s)
		l.tried = append(l.tried, "key file "+s.path)
	}
	return out, nil
}

func (l *login) agentSigners() []ssh.Signer {
	if l.creds.opts.AgentSocket == "" {
		return nil
	}
	c, err := (&net.Dialer{}).DialContext(l.ctx, "unix", l.creds.opts.AgentSocket)
	if err != nil {
		l.tried = append(l.tried, "no agent: "+err.Error())
		return nil
	}
	l.agent = c
	signers, err := agent.NewClient(c).Signers()
	if err != nil {
		l.tried = append(l.tried, "no key from the agent: "+err.Error())
	}
	return signers
}

func containsKey[S ssh.Signer](signers []S, key ssh.PublicKey) bool {
	return slices.ContainsFunc(signers, func(s S) bool {
		return string(s.PublicKey().Marshal()) == string(key.Marshal())
	})
}

func (l *login) identities() []*identity {
	var out []*identity
	for _, path := range l.target.IdentityFiles {
		id, err := l.identity(path)
		switch {
		case err == nil:
			out = append(out, id)
		case errors.Is(err, os.ErrNotExist):
			// ssh's default names are all listed and few of them exist.
		default:
			l.tried = append(l.tried, err.Error())
		}
	}
	return out
}

// identity reads a key file. An encrypted one is opened only when the server
// accepts its public half, so that nobody is asked in vain.
func (l *login) identity(path string) (*identity, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err == nil {
		return &identity{path: path, public: signer.PublicKey(), open: func() (ssh.Signer, error) { return signer, nil }}, nil
	}
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	public := locked.PublicKey
	if public == nil {
		if public, err = readPublicKey(path + ".pub"); err != nil {
			return nil, fmt.Errorf("read key %s: it is encrypted, and its public half is not beside it: %w", path, err)
		}
	}
	if l.creds.opts.Prompter == nil {
		return nil, fmt.Errorf("key %s is encrypted and nobody can be asked for its passphrase; add it to the agent with ssh-add", path)
	}
	return &identity{path: path, public: public, open: func() (ssh.Signer, error) { return l.unlock(path, data) }}, nil
}

func readPublicKey(path string) (ssh.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	return key, err
}

func (l *login) unlock(path string, data []byte) (ssh.Signer, error) {
	l.creds.mu.Lock()
	defer l.creds.mu.Unlock()
	if p, ok := l.creds.passphrases[path]; ok {
		return ssh.ParsePrivateKeyWithPassphrase(data, []byte(p.Reveal()))
	}
	for try := range tries {
		p, err := l.ask("Passphrase for key " + path)
		if err != nil {
			return nil, err
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(data, []byte(p.Reveal()))
		if err == nil {
			l.creds.passphrases[path] = p
			return signer, nil
		}
		if try == tries-1 {
			return nil, fault.New(fault.AuthRefused, "", "open key %s: wrong passphrase", path)
		}
	}
	return nil, nil
}

var errNobody = errors.New("nobody can be asked for it")

func (l *login) ask(what string) (secrets.Value, error) {
	if l.creds.opts.Prompter == nil {
		return secrets.Value{}, errNobody
	}
	defer l.pause()()
	return l.creds.opts.Prompter.Secret(l.ctx, what)
}

// password answers with what worked before, then with the given password,
// then asks.
func (l *login) password() (string, error) {
	l.creds.mu.Lock()
	defer l.creds.mu.Unlock()
	who := l.target.User + "@" + l.target.dialAddress()
	given := l.creds.opts.SSHPassword
	if p, ok := l.creds.passwords[who]; ok {
		given = p
	}
	if !given.Empty() && !l.used {
		l.used = true
		l.tried = append(l.tried, "the given password")
		return given.Reveal(), nil
	}
	if l.asked == tries {
		return "", errors.New("no more tries")
	}
	p, err := l.ask("Password for " + who)
	if fault.CodeOf(err) == fault.NeedsAnswer {
		// A server that would take a password as well has refused user or key.
		l.tried = append(l.tried, "no password: nobody can be asked for one")
		return "", errNobody
	}
	if err != nil {
		return "", err
	}
	l.asked++
	l.tried = append(l.tried, "a typed password")
	l.creds.passwords[who] = p
	return p.Reveal(), nil
}

// interactive answers the questions that PAM asks instead of taking a
// password; in practice it is one question.
func (l *login) interactive(_, _ string, questions []string, _ []bool) ([]string, error) {
	out := make([]string, len(questions))
	for i := range questions {
		p, err := l.password()
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

// identity is a key file whose private half is read when it is needed.
type identity struct {
	path   string
	public ssh.PublicKey
	open   func() (ssh.Signer, error)
}

func (i *identity) PublicKey() ssh.PublicKey { return i.public }

func (i *identity) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	s, err := i.open()
	if err != nil {
		return nil, err
	}
	return s.Sign(rand, data)
}

// SignWithAlgorithm lets RSA keys sign with SHA-2, which is all that current
// servers accept.
func (i *identity) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s, err := i.open()
	if err != nil {
		return nil, err
	}
	if as, ok := s.(ssh.AlgorithmSigner); ok {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return s.Sign(rand, data)
}
