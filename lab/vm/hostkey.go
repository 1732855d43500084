package vm

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys are the three that Debian's sshd makes at installation.
type hostKeys []hostKey

type hostKey struct {
	kind    string // as in the file's name
	private []byte
	public  ssh.PublicKey
}

// newHostKeys makes them on the workstation: there it takes a moment, and the
// box need not be trusted on its first word.
func newHostKeys(machine string) (hostKeys, error) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make host key: %w", err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make host key: %w", err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return nil, fmt.Errorf("make host key: %w", err)
	}
	var keys hostKeys
	for _, key := range []struct {
		kind   string
		secret any
	}{{"ed25519", ed}, {"ecdsa", ec}, {"rsa", rs}} {
		private, public, err := encodeKey(key.secret, "root@"+machine)
		if err != nil {
			return nil, fmt.Errorf("make host key: %w", err)
		}
		keys = append(keys, hostKey{key.kind, private, public})
	}
	return keys, nil
}

func encodeKey(secret any, comment string) (private []byte, public ssh.PublicKey, err error) {
	block, err := ssh.MarshalPrivateKey(secret, comment)
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(secret)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(block), signer.PublicKey(), nil
}

// credential is the string that hands the keys to the box through its firmware
// tables, where systemd-tmpfiles looks early in the boot. It writes what is not
// there yet, so a disk keeps the keys that it was made with, and nothing of the
// lab has to live on the box.
func (k hostKeys) credential(machine string) []byte {
	var lines strings.Builder
	line := func(path, mode string, content []byte) {
		fmt.Fprintf(&lines, "f~ %s %s root root - %s\n", path, mode, base64.StdEncoding.EncodeToString(content))
	}
	for _, key := range k {
		path := "/etc/ssh/ssh_host_" + key.kind + "_key"
		line(path, "0600", key.private)
		public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.public))) + " root@" + machine + "\n"
		line(path+".pub", "0644", []byte(public))
	}
	return []byte("io.systemd.credential.binary:tmpfiles.extra=" + base64.StdEncoding.EncodeToString([]byte(lines.String())))
}

// public is what the box will show, one line for each key.
func (k hostKeys) public() []byte {
	var lines []byte
	for _, key := range k {
		lines = append(lines, ssh.MarshalAuthorizedKey(key.public)...)
	}
	return lines
}

// knownHosts returns the content of a known_hosts file that expects the public
// keys at each of the ports.
func knownHosts(public []byte, ports ...int) []byte {
	var lines strings.Builder
	for _, port := range ports {
		for key := range strings.Lines(string(public)) {
			fmt.Fprintf(&lines, "%s %s\n", knownhosts.Normalize(loopback(port)), strings.TrimSpace(key))
		}
	}
	return []byte(lines.String())
}
