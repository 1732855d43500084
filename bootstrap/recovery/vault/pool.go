package vault

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
)

// Sum is the SHA-256 of a piece's plain content.
type Sum [sha256.Size]byte

// SumOf returns the sum of a content.
func SumOf(data []byte) Sum { return sha256.Sum256(data) }

// ParseSum reads a sum in lower-case hexadecimal.
func ParseSum(text string) (Sum, error) {
	var s Sum
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(s) || strings.ToLower(text) != text {
		return s, errors.New("not a SHA-256 sum")
	}
	copy(s[:], raw)
	return s, nil
}

// String is the sum in hexadecimal.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// MarshalText writes the sum in hexadecimal.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Sum) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSum(string(text))
	return err
}

// MostPiece is the largest piece, in bytes.
const MostPiece = 64 << 20

// pool holds the pieces for one set of recipients.
type pool struct {
	name       string
	dir        string
	disk       disk
	codec      codec
	recipients []age.Recipient
	identities []age.Identity
	// key makes the pieces' names: a plain hash would tell whoever sees the
	// folder which known files are in it.
	key []byte
	// dirty are folders with names that are not on the disk yet.
	dirty map[string]bool
	// rotten are pieces that were seen not to be what was put: they count as
	// absent until they are put again.
	rotten map[Sum]bool
}

const poolPrefix = "pieces-"

func poolName(recipients []string) string {
	names := slices.Clone(recipients)
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(names), "\n")))
	return hex.EncodeToString(sum[:4])
}

func validPool(name string) bool {
	raw, err := hex.DecodeString(name)
	return err == nil && len(raw) == 4 && strings.ToLower(name) == name
}

// current is the pool into which this run writes.
func (v *Vault) current() (*pool, error) {
	if len(v.opts.Keys.Recipients) == 0 {
		return nil, errors.New("nobody is named for whom backups are to be encrypted")
	}
	p, err := v.pool(poolName(v.opts.Keys.Names))
	if errors.Is(err, fs.ErrNotExist) {
		p, err = v.newPool(poolName(v.opts.Keys.Names))
	}
	if err != nil {
		return nil, fmt.Errorf("open the pieces of the backups: %w", err)
	}
	p.recipients = v.opts.Keys.Recipients
	return p, nil
}

// pool opens the pool with the given name.
func (v *Vault) pool(name string) (*pool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.pools[name]; p != nil {
		return p, nil
	}
	p := v.bare(name)
	sealed, err := os.ReadFile(p.keyPath())
	if err != nil {
		return nil, err
	}
	if p.key, err = v.codec.unseal(sealed, sha256.Size, v.opts.Keys.Identities); err != nil {
		return nil, err
	}
	if len(p.key) != sha256.Size {
		return nil, errDamaged
	}
	v.pools[name] = p
	return p, nil
}

func (v *Vault) bare(name string) *pool {
	return &pool{
		name: name, dir: filepath.Join(v.opts.Dir, poolPrefix+name), disk: v.disk, codec: v.codec,
		identities: v.opts.Keys.Identities, dirty: map[string]bool{}, rotten: map[Sum]bool{},
	}
}

func (p *pool) keyPath() string { return filepath.Join(p.dir, "key") }

func (v *Vault) newPool(name string) (*pool, error) {
	p := v.bare(name)
	p.key = make([]byte, sha256.Size)
	rand.Read(p.key)
	sealed, err := v.codec.seal(p.key, v.opts.Keys.Recipients)
	if err != nil {
		return nil, err
	}
	// Whoever makes backups must be able to read them: what cannot be verified
	// is no backup.
	if _, err := v.codec.unseal(sealed, sha256.Size, v.opts.Keys.Identities); err != nil {
		return nil, fmt.Errorf("this computer's age identity is none of the recipients: %w", err)
	}
	if err := v.disk.mkdir(p.dir); err != nil {
		return nil, err
	}
	if err := write(v.disk, p.keyPath(), sealed); err != nil {
		return nil, err
	}
	if err := errors.Join(v.disk.syncDir(p.dir), v.disk.syncDir(v.opts.Dir)); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pools[name] = p
	return p, nil
}

// path is where a piece lies.
func (p *pool) path(s Sum) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write(s[:])
	name := hex.EncodeToString(mac.Sum(nil))
	return filepath.Join(p.dir, name[:2], name[2:])
}

func (p *pool) has(s Sum) bool {
	info, err := os.Stat(p.path(s))
	return err == nil && info.Mode().IsRegular() && !p.rotten[s]
}

func (p *pool) seal(plain []byte) ([]byte, error) { return p.codec.seal(plain, p.recipients) }

func (p *pool) open(sealed []byte, most int) ([]byte, error) {
	return p.codec.unseal(sealed, most, p.identities)
}

// put stores a piece and returns what it takes on the disk.
func (p *pool) put(s Sum, data []byte) (int64, error) {
	sealed, err := p.seal(data)
	if err != nil {
		return 0, err
	}
	path := p.path(s)
	if err := p.disk.mkdir(filepath.Dir(path)); err != nil {
		return 0, err
	}
	if err := write(p.disk, path, sealed); err != nil {
		return 0, err
	}
	p.dirty[filepath.Dir(path)] = true
	delete(p.rotten, s)
	return int64(len(sealed)), nil
}

// get returns a piece that is what its sum says.
func (p *pool) get(s Sum, most int) ([]byte, error) {
	sealed, err := os.ReadFile(p.path(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMissing
	}
	if err != nil {
		return nil, err
	}
	plain, err := p.open(sealed, most)
	if err != nil {
		return nil, err
	}
	if SumOf(plain) != s {
		return nil, errDamaged
	}
	return plain, nil
}

// settle brings the names of all pieces to the disk.
func (p *pool) settle() error {
	for _, dir := range slices.Sorted(maps.Keys(p.dirty)) {
		if err := p.disk.syncDir(dir); err != nil {
			return err
		}
	}
	if err := p.disk.syncDir(p.dir); err != nil {
		return err
	}
	clear(p.dirty)
	return nil
}

// Has reports whether a piece need not be sent: it is there for the present
// recipients, or was made so from a piece that is there for others.
func (v *Vault) Has(s Sum) (bool, error) {
	p, err := v.current()
	if err != nil {
		return false, err
	}
	if p.has(s) {
		return true, nil
	}
	return v.takeOver(p, s)
}

// takeOver seals a piece for the present recipients that an earlier set has:
// that costs no byte on the link.
func (v *Vault) takeOver(into *pool, s Sum) (bool, error) {
	names, err := v.poolNames()
	if err != nil {
		return false, err
	}
	for _, name := range names {
		from, err := v.pool(name)
		if err != nil || from == into || !from.has(s) {
			continue
		}
		data, err := from.get(s, MostPiece)
		if err != nil {
			continue
		}
		_, err = into.put(s, data)
		return err == nil, v.failedOrNil("seal a piece for the new recipients", err)
	}
	return false, nil
}

// poolNames are the pools that are there.
func (v *Vault) poolNames() ([]string, error) {
	found, err := os.ReadDir(v.opts.Dir)
	if err != nil {
		return nil, v.failed("list the backups", err)
	}
	var out []string
	for _, f := range found {
		if name, ok := strings.CutPrefix(f.Name(), poolPrefix); ok && validPool(name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// Put stores a piece and returns what it takes on this computer's disk, in
// bytes; a piece that is there already takes nothing.
func (v *Vault) Put(data []byte) (Sum, int64, error) {
	s := SumOf(data)
	if len(data) > MostPiece {
		return s, 0, fmt.Errorf("a piece of %d bytes is too large", len(data))
	}
	p, err := v.current()
	if err != nil {
		return s, 0, err
	}
	if p.has(s) {
		return s, 0, nil
	}
	n, err := p.put(s, data)
	return s, n, v.failedOrNil("write a piece of the backup", err)
}

// Get returns a piece of a backup, proven to be what was put. Its error says
// which other backup may be used: one that does without this piece.
func (v *Vault) Get(e Entry, s Sum) ([]byte, error) {
	p, err := v.pool(e.pool)
	if err != nil {
		return nil, v.unreadable(e, err)
	}
	data, err := p.get(s, MostPiece)
	if err != nil {
		return nil, v.unreadable(e, err, s)
	}
	return data, nil
}
