package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Book is everything that is kept of one release.
type Book struct {
	// Version counts the writes; the earlier ones stay beside the newest.
	Version int
	// Salt keys the digests that go to the cluster.
	Salt    Value
	Secrets Set
	// Staged is a rotation that was begun and not finished.
	Staged *Rotation
}

// Rotation is a change of secrets under way.
type Rotation struct {
	What    string
	Stage   string
	Started time.Time
	// New are the secrets that are to be in force, Old those that were.
	New, Old Set
}

// Empty reports whether nothing was ever kept.
func (b Book) Empty() bool { return len(b.Secrets) == 0 }

// Store keeps books on this computer, encrypted with age.
type Store struct {
	dir      string
	identity string
}

// NewStore returns the store of one host or context; the identity in stateDir
// is shared by all of them.
func NewStore(stateDir, name string) *Store {
	return &Store{dir: filepath.Join(stateDir, name), identity: IdentityPath(stateDir)}
}

const bookName = "secrets.age"

// Path is where the newest book lies.
func (s *Store) Path() string { return filepath.Join(s.dir, bookName) }

// Load returns the newest book, an empty one if there is none.
func (s *Store) Load() (Book, error) {
	sealed, err := os.ReadFile(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return Book{Secrets: Set{}}, nil
	}
	if err != nil {
		return Book{}, fmt.Errorf("read the secrets: %w", err)
	}
	id, err := s.readIdentity()
	if err != nil {
		return Book{}, s.locked(err)
	}
	plain, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		return Book{}, s.locked(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		return Book{}, s.locked(err)
	}
	b, err := decodeBook(text)
	if err != nil {
		return Book{}, s.locked(err)
	}
	return b, nil
}

func (s *Store) locked(err error) error {
	return &fault.Error{
		Code: fault.SecretsUnreadable, Op: "open " + s.Path(), Err: err,
		Next: fmt.Sprintf("bring back %s or an earlier %s, or move %s away: the cluster's own Secrets are then taken over", s.identity, bookName, s.Path()),
	}
}

// Save writes a book as the newest one. The one before stays as
// secrets.vN.age: a secret that is lost is a database that is lost.
func (s *Store) Save(b *Book) error {
	next := *b
	next.Version++
	text, err := encodeBook(next)
	if err != nil {
		return err
	}
	id, err := s.ownIdentity()
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, id.Recipient())
	if err == nil {
		_, err = w.Write(text)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return fmt.Errorf("encrypt the secrets: %w", err)
	}
	if err := s.keepEarlier(b.Version); err != nil {
		return err
	}
	if err := atomicfile.Write(s.Path(), sealed.Bytes(), 0o600); err != nil {
		return fmt.Errorf("keep the secrets: %w", err)
	}
	*b = next
	return nil
}

// keepEarlier gives the newest book a second name before it is replaced.
func (s *Store) keepEarlier(version int) error {
	name := filepath.Join(s.dir, fmt.Sprintf("secrets.v%d.age", version))
	err := os.Link(s.Path(), name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keep the earlier secrets: %w", err)
	}
	return nil
}

func (s *Store) readIdentity() (*age.X25519Identity, error) {
	text, err := os.ReadFile(s.identity)
	if err != nil {
		return nil, err
	}
	lines := slices.DeleteFunc(strings.Fields(string(text)), func(w string) bool { return !strings.HasPrefix(w, "AGE-SECRET-KEY-1") })
	if len(lines) != 1 {
		return nil, fmt.Errorf("%s holds no age identity", s.identity)
	}
	id, err := age.ParseX25519Identity(lines[0])
	if err != nil {
		// The library's text quotes what it read.
		return nil, fmt.Errorf("%s holds no valid age identity", s.identity)
	}
	return id, nil
}

// ownIdentity returns the identity and makes it when there is none yet.
func (s *Store) ownIdentity() (*age.X25519Identity, error) {
	id, err := s.readIdentity()
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if id, err = age.GenerateX25519Identity(); err != nil {
		return nil, fmt.Errorf("make an age identity: %w", err)
	}
	text := fmt.Sprintf("# public key: %s\n%s\n", id.Recipient(), id)
	if err := atomicfile.Write(s.identity, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("keep the age identity: %w", err)
	}
	return id, nil
}

// plainBook is a Book as it is encrypted. Nowhere else are the values text.
type plainBook struct {
	Version int            `json:"version"`
	Salt    string         `json:"salt"`
	Secrets map[Key]string `json:"secrets"`
	Staged  *plainRotation `json:"staged,omitempty"`
}

type plainRotation struct {
	What    string         `json:"what"`
	Stage   string         `json:"stage"`
	Started time.Time      `json:"started"`
	New     map[Key]string `json:"new"`
	Old     map[Key]string `json:"old"`
}

func encodeBook(b Book) ([]byte, error) {
	p := plainBook{Version: b.Version, Salt: b.Salt.Reveal(), Secrets: reveal(b.Secrets)}
	if r := b.Staged; r != nil {
		p.Staged = &plainRotation{r.What, r.Stage, r.Started, reveal(r.New), reveal(r.Old)}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write the secrets: %w", err)
	}
	return text, nil
}

func decodeBook(text []byte) (Book, error) {
	var p plainBook
	if err := json.Unmarshal(text, &p); err != nil {
		return Book{}, errors.New("it is damaged")
	}
	b := Book{Version: p.Version, Salt: NewValue(p.Salt), Secrets: conceal(p.Secrets)}
	if r := p.Staged; r != nil {
		b.Staged = &Rotation{r.What, r.Stage, r.Started, conceal(r.New), conceal(r.Old)}
	}
	return b, nil
}

func reveal(s Set) map[Key]string {
	out := make(map[Key]string, len(s))
	for k, v := range s {
		out[k] = v.Reveal()
	}
	return out
}

func conceal(m map[Key]string) Set {
	out := make(Set, len(m))
	for k, v := range m {
		out[k] = NewValue(v)
	}
	return out
}
