package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Keyring is whom backups are encrypted for, and what opens them.
type Keyring struct {
	Identities []age.Identity
	Recipients []age.Recipient
	// Names are the recipients' public keys.
	Names []string
}

// IdentityPath is where this computer's age identity lies.
func IdentityPath(stateDir string) string { return filepath.Join(stateDir, "identity.age") }

// ReadKeyring returns the keys for reading: this computer's identity and those in
// further files. Having none is no error.
func ReadKeyring(stateDir string, files []string) (Keyring, error) {
	var k Keyring
	for i, path := range append([]string{IdentityPath(stateDir)}, files...) {
		f, err := os.Open(path)
		if i == 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return k, &fault.Error{Code: fault.SecretsUnreadable, Op: "read an age identity", Err: err}
		}
		ids, err := age.ParseIdentities(f)
		_ = f.Close()
		if err != nil {
			// The library's text may quote the file.
			return k, fault.New(fault.SecretsUnreadable, "", "%s holds no valid age identity", path)
		}
		k.Identities = append(k.Identities, ids...)
	}
	return k, nil
}

// WriteKeyring returns the keys for writing. This computer's identity is made if
// there is none, and is always a recipient: what it could not read back would
// be no backup.
func WriteKeyring(stateDir string, files, recipients []string) (Keyring, error) {
	own, err := NewStore(stateDir, "").ownIdentity()
	if err != nil {
		return Keyring{}, err
	}
	k, err := ReadKeyring(stateDir, files)
	if err != nil {
		return k, err
	}
	k.Names = append(k.Names, own.Recipient().String())
	k.Recipients = append(k.Recipients, own.Recipient())
	for _, text := range recipients {
		r, err := ParseRecipient(text)
		if err != nil {
			return k, fault.New(fault.ConfigInvalid, "", "%v", err)
		}
		if name := strings.TrimSpace(text); name != own.Recipient().String() {
			k.Names, k.Recipients = append(k.Names, name), append(k.Recipients, r)
		}
	}
	return k, nil
}

// ParseRecipient reads an age public key.
func ParseRecipient(text string) (age.Recipient, error) {
	found, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(found) != 1 || strings.Contains(text, "\n") {
		return nil, fmt.Errorf("%q is not an age recipient like age1…, as `age-keygen` prints it", text)
	}
	return found[0], nil
}
