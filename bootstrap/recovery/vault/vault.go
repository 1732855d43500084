// Package vault keeps backups in a folder of this computer.
//
// It keeps the promise that a backup which is listed is whole: its pieces are
// on the disk before its manifest is, the manifest takes its name last and in
// one step, every read proves what it returns, and nothing is removed that a
// backup which is kept still needs.
package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Options say where a vault is and who may read it.
type Options struct {
	// Dir is the folder of one host's backups.
	Dir string
	// Keys say for whom is written and what opens it.
	Keys secrets.Keyring
	// Holder names this run to others who find the vault locked.
	Holder string
}

// Vault is a folder of backups.
//
//	DIR/lock                           held while something is written
//	DIR/000012-3f9a4c21.backup         a manifest, sealed
//	DIR/pieces-3f9a4c21/key            what the pieces' names are made with, sealed
//	DIR/pieces-3f9a4c21/ab/cdef…       a piece, compressed and sealed
//
// The pieces of each set of recipients lie apart: a piece that is there
// already can then be opened by everybody for whom the backup is made.
type Vault struct {
	opts Options
	disk disk
	// codec is made once; making one takes longer than packing a piece.
	codec codec
	mu    sync.Mutex
	// pools by the short name of their recipients.
	pools map[string]*pool
}

// Open returns the vault in a folder, which need not exist yet.
func Open(o Options) (*Vault, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &Vault{opts: o, disk: realDisk{}, codec: c, pools: map[string]*pool{}}, nil
}

// Dir is the vault's folder.
func (v *Vault) Dir() string { return v.opts.Dir }

// Lock keeps other runs from writing; the lock dies with the process. What an
// earlier run left half-written is swept away.
func (v *Vault) Lock() (release func(), err error) {
	if err := v.disk.mkdir(v.opts.Dir); err != nil {
		return nil, v.failed("make the folder for backups", err)
	}
	unlock, err := v.locked((*flock.Flock).TryLock)
	if err != nil {
		return nil, err
	}
	if err := v.sweepUnfinished(); err != nil {
		unlock()
		return nil, v.failed("tidy up", err)
	}
	return unlock, nil
}

// Hold keeps others from removing pieces while backups are read.
func (v *Vault) Hold() (release func(), err error) {
	if _, err := os.Stat(v.opts.Dir); errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	return v.locked((*flock.Flock).TryRLock)
}

func (v *Vault) locked(try func(*flock.Flock) (bool, error)) (func(), error) {
	path := filepath.Join(v.opts.Dir, "lock")
	l := flock.New(path, flock.SetPermissions(0o600))
	got, err := try(l)
	if err != nil {
		return nil, v.failed("lock the backups", err)
	}
	if !got {
		text, _ := os.ReadFile(path)
		holder := cmp.Or(strings.TrimSpace(string(text)), "another run")
		return nil, fault.New(fault.BackupBusy, "", "%s is at work on the backups in %s", holder, v.opts.Dir)
	}
	if l.Locked() {
		// It only says who it is; a crash leaves an old name and no lock. Windows
		// lets nobody read or write what is locked, and does without the name.
		_ = os.WriteFile(path, []byte(v.opts.Holder+"\n"), 0o600)
	}
	return func() { _ = l.Close() }, nil
}

// failed gives an error of this computer's disk its code.
func (v *Vault) failed(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &fault.Error{
			Code: fault.BackupFailed, Op: op, Err: fmt.Errorf("there is no space left in %s on this computer", v.opts.Dir),
			Next: "free some space, or remove old backups with `ssg-bootstrap backup prune --host HOST`; what has arrived is not sent again",
		}
	}
	return &fault.Error{Code: fault.BackupFailed, Op: op, Err: err}
}

// Entry is one backup as its file's name tells it.
type Entry struct {
	// ID is the number that the backup got: they are counted, because clocks
	// go back.
	ID string
	// Number orders backups.
	Number int
	pool   string
}

const suffix = ".backup"

func (e Entry) file() string { return e.ID + "-" + e.pool + suffix }

// idOf writes a number so that names sort as numbers do.
func idOf(number int) string { return fmt.Sprintf("%06d", number) }

// Entries returns the backups, the oldest first, without opening them.
func (v *Vault) Entries() ([]Entry, error) {
	found, err := os.ReadDir(v.opts.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, v.failed("list the backups", err)
	}
	var out []Entry
	for _, f := range found {
		if e, ok := parseName(f.Name()); ok {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return a.Number - b.Number })
	return out, nil
}

func parseName(name string) (Entry, bool) {
	base, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return Entry{}, false
	}
	id, pool, ok := strings.Cut(base, "-")
	n, err := strconv.Atoi(id)
	if !ok || err != nil || n < 1 || idOf(n) != id || !validPool(pool) {
		return Entry{}, false
	}
	return Entry{ID: id, Number: n, pool: pool}, true
}

// Find returns one backup by its ID, with or without leading zeros; "latest"
// is the newest that is not partial. One that cannot be read is found as well:
// whoever reads it learns why, and is not given an older one without a word.
func (v *Vault) Find(id string) (Entry, error) {
	all, err := v.Entries()
	if err != nil {
		return Entry{}, err
	}
	if len(all) == 0 {
		return Entry{}, fault.New(fault.BackupNone, "", "there is no backup in %s", v.opts.Dir)
	}
	if id == "latest" {
		if e, ok := v.newest(all, true); ok {
			return e, nil
		}
		return Entry{}, fault.New(fault.BackupNone, "", "there are only backups of single parts in %s", v.opts.Dir)
	}
	n, err := strconv.Atoi(id)
	for _, e := range all {
		if err == nil && e.Number == n {
			return e, nil
		}
	}
	return Entry{}, fault.New(fault.BackupNone, "see which there are with `ssg-bootstrap backup list --host HOST`", "there is no backup %q in %s", id, v.opts.Dir)
}

// Before returns the backup to take in the place of e, if there is one: the
// newest that is older, can be read, is not partial and does without the pieces
// given.
func (v *Vault) Before(e Entry, without ...Sum) (Entry, bool) {
	all, err := v.Entries()
	i := slices.Index(all, e)
	if err != nil || i < 1 {
		return Entry{}, false
	}
	older := slices.DeleteFunc(all[:i], func(o Entry) bool { return v.needs(o, without) })
	return v.newest(older, false)
}

// needs reports whether a backup cannot do without one of the pieces; of one
// that cannot be read that is not known, and it counts as needing them.
func (v *Vault) needs(e Entry, pieces []Sum) bool {
	if len(pieces) == 0 {
		return false
	}
	m, err := v.manifest(e)
	if err != nil {
		return true
	}
	p, err := v.pool(e.pool)
	if err != nil {
		return true
	}
	for _, part := range m.Parts {
		text, err := p.get(part.Index, MostPiece)
		if err != nil || slices.Contains(pieces, part.Index) {
			return true
		}
		x, err := DecodeIndex(text)
		if err != nil || slices.ContainsFunc(x, func(piece Piece) bool { return slices.Contains(pieces, piece.Sum) }) {
			return true
		}
	}
	return false
}

// newest is the last of those given that is not partial.
func (v *Vault) newest(of []Entry, unreadable bool) (Entry, bool) {
	for _, e := range slices.Backward(of) {
		m, err := v.manifest(e)
		if err == nil && !m.Partial || err != nil && unreadable {
			return e, true
		}
	}
	return Entry{}, false
}

// Commit makes a backup count. Everything that it names must have been put and
// proven.
func (v *Vault) Commit(m Manifest) (Entry, error) {
	p, err := v.current()
	if err != nil {
		return Entry{}, err
	}
	all, err := v.Entries()
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Number: 1, pool: p.name}
	if n := len(all); n > 0 {
		e.Number = all[n-1].Number + 1
	}
	e.ID = idOf(e.Number)
	m.Format, m.ID = formatVersion, e.ID
	text, err := m.encode()
	if err != nil {
		return Entry{}, err
	}
	sealed, err := p.seal(text)
	if err != nil {
		return Entry{}, err
	}
	// The pieces' names first: a manifest must not be there without them.
	if err := p.settle(); err != nil {
		return Entry{}, v.failed("bring the pieces to the disk", err)
	}
	if err := write(v.disk, filepath.Join(v.opts.Dir, e.file()), sealed); err != nil {
		return Entry{}, v.failed("write the backup's manifest", err)
	}
	return e, v.failedOrNil("write the backup's manifest", v.disk.syncDir(v.opts.Dir))
}

func (v *Vault) failedOrNil(op string, err error) error {
	if err == nil {
		return nil
	}
	return v.failed(op, err)
}

// Manifest opens one backup's manifest.
func (v *Vault) Manifest(e Entry) (Manifest, error) {
	m, err := v.manifest(e)
	if err != nil {
		return Manifest{}, v.unreadable(e, err)
	}
	return m, nil
}

func (v *Vault) manifest(e Entry) (Manifest, error) {
	sealed, err := os.ReadFile(filepath.Join(v.opts.Dir, e.file()))
	if err != nil {
		return Manifest{}, err
	}
	p, err := v.pool(e.pool)
	if err != nil {
		return Manifest{}, err
	}
	text, err := p.open(sealed, mostManifest)
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(text)
	if err == nil && m.ID != e.ID {
		err = fmt.Errorf("it says of itself that it is the backup %s", m.ID)
	}
	return m, err
}

// unreadable says why a backup cannot be used, and which may be used instead:
// one that does without the pieces that are known to be bad.
func (v *Vault) unreadable(e Entry, err error, bad ...Sum) error {
	next := "no older one can be taken instead; see `ssg-bootstrap backup list --host HOST`"
	if b, ok := v.Before(e, bad...); ok {
		next = "take the one before it: `ssg-bootstrap install --host HOST --restore " + b.ID + "`"
	}
	if errors.Is(err, errOtherIdentity) {
		next = "bring back the age identity that it was made for (docs/recovery.md), or " + next
	}
	return &fault.Error{Code: fault.BackupUnreadable, Op: "read backup " + e.ID, Err: err, Next: next}
}

// Age is how long ago a backup was taken. A clock that was set back makes no
// backup young: what seems to come from the future is of unknown age, and ok
// is false.
func Age(taken, now time.Time) (age time.Duration, ok bool) {
	d := now.Sub(taken)
	// Two computers' clocks differ by minutes.
	if d < -10*time.Minute {
		return 0, false
	}
	return max(d, 0), true
}

// interrupted reports whether ctx ended, as an error.
func interrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
