package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
)

// ErrTokenChanged says that the token asked for is not the one that the cluster
// was made with.
var ErrTokenChanged = errors.New("the token is not the one this cluster was made with: give that one, or none")

// EnsureToken settles the cluster's shared secret and writes server/token in
// k3s's form: the authority's hash, the user and the secret.
func EnsureToken(p layout.Paths, asked string) (secret string, err error) {
	have, err := readSecret(p.Token())
	if err != nil {
		return "", err
	}
	asked = secretOf(asked)
	switch {
	case have != "" && asked != "" && have != asked:
		return "", ErrTokenChanged
	case have != "":
		secret = have
	case asked != "":
		secret = asked
	default:
		if secret, err = randomHex(16); err != nil {
			return "", err
		}
	}
	return secret, writeToken(p, secret)
}

func writeToken(p layout.Paths, secret string) error {
	ca, err := os.ReadFile(p.TLS("server-ca.crt"))
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	sum := sha256.Sum256(ca)
	line := fmt.Sprintf("K10%s::server:%s\n", hex.EncodeToString(sum[:]), secret)
	if err := writeFile(p.Token(), []byte(line), 0o600); err != nil {
		return err
	}
	passwords := fmt.Sprintf("%s,server,server,k3s:server\n%s,node,node,k3s:agent\n", secret, secret)
	if err := writeFile(p.Cred("passwd"), []byte(passwords), 0o600); err != nil {
		return err
	}
	if target, err := os.Readlink(p.NodeToken()); err == nil && target == p.Token() {
		return nil
	}
	if err := os.Remove(p.NodeToken()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(p.Token(), p.NodeToken())
}

func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return secretOf(strings.TrimSpace(string(b))), nil
}

// secretOf takes the secret out of a full token; a bare one is itself.
func secretOf(token string) string {
	if _, rest, ok := strings.Cut(token, "::"); ok && strings.HasPrefix(token, "K10") {
		_, secret, _ := strings.Cut(rest, ":")
		return secret
	}
	return token
}

func randomHex(bytes int) (string, error) {
	b := make([]byte, bytes)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make secret: %w", err)
	}
	return hex.EncodeToString(b), nil
}
