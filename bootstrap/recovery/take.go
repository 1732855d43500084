package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
)

// Extra is a part that this computer gathers itself, in pieces of bounded
// size. An error fails the backup.
type Extra struct {
	Name string
	// Take hands the pieces over one after the other and may add to what the
	// backup says of its box.
	Take func(ctx context.Context, about *About, put func(data []byte) error) error
}

// Taker takes backups of one box.
type Taker struct {
	Box   Box
	Vault *vault.Vault
	// Parts are those that the box cuts.
	Parts  []string
	Extras []Extra
	About  About
	Host   string
	// Partial says that this is only what a restore is about to replace.
	Partial bool
	Now     func() time.Time
	Note    func(text string)
	// Progress tells how many bytes of the pieces that were missing are here.
	Progress func(done, total int64)
}

// Taken is what a backup did.
type Taken struct {
	Entry    vault.Entry
	Manifest vault.Manifest
	// Bytes is all that the backup holds, Missing the part of it that this
	// computer did not have, Stored what that takes on its disk.
	Bytes, Missing, Stored int64
	Pieces                 int
	// Differences is how many pieces came as a difference.
	Differences int
}

// Take takes a backup. The vault must be locked. What earlier backups stored and
// this computer's disk has damaged since is brought anew.
func (t Taker) Take(ctx context.Context) (Taken, error) {
	out, err := t.once(ctx)
	// Which pieces a damaged list named is known when the list is whole again.
	for tries := 0; errors.Is(err, vault.ErrRotten) && tries < 2; tries++ {
		t.Note(err.Error() + "; brought anew")
		out, err = t.once(ctx)
	}
	if err != nil {
		return out, err
	}
	// Not having a base costs bytes the next time, and no more.
	if err := t.Box.keepAsBase(ctx, stage); err != nil {
		t.Note("the box keeps no copy to compare with: " + err.Error())
	}
	return out, nil
}

func (t Taker) once(ctx context.Context) (Taken, error) {
	r := &taking{Taker: t, about: t.About}
	m, err := r.run(ctx)
	r.out.Manifest = m
	return r.out, err
}

// taking is one backup on its way.
type taking struct {
	Taker
	about About
	parts []vault.Part
	out   Taken
}

func (t *taking) run(ctx context.Context) (vault.Manifest, error) {
	var m vault.Manifest
	if err := t.Box.ready(ctx); err != nil {
		return m, err
	}
	if err := t.Box.snapshot(ctx, stage, t.Parts, t.Note); err != nil {
		return m, fmt.Errorf("copy the data on the box: %w", err)
	}
	for _, e := range t.Extras {
		if err := t.gather(ctx, e); err != nil {
			return m, err
		}
	}
	if err := t.bringAll(ctx, t.Parts); err != nil {
		return m, err
	}
	about, err := json.Marshal(t.about)
	if err != nil {
		return m, fmt.Errorf("write what the backup says of its box: %w", err)
	}
	m = vault.Manifest{Host: t.Host, Taken: t.Now().UTC(), Parts: t.parts, Partial: t.Partial, About: about}
	if len(m.Parts) == 0 {
		return m, fault.New(fault.BackupFailed, "", "there is nothing to back up on the box")
	}
	// It is listed, and may be restored, only once all of it was read back.
	t.Note("reading the backup back")
	if err := t.Vault.Prove(ctx, m.Parts, t.Progress); err != nil {
		return m, &fault.Error{Code: fault.BackupFailed, Op: "read the backup back", Err: err, Next: "look at this computer's disk (`smartctl -a`), then take the backup again"}
	}
	t.out.Entry, err = t.Vault.Commit(m)
	m.ID = t.out.Entry.ID
	return m, err
}

// add notes a part whose pieces are all there.
func (t *taking) add(name string, x vault.Index) error {
	sum, _, err := t.Vault.Put(x.Encode())
	if err != nil {
		return err
	}
	t.parts = append(t.parts, vault.Part{Name: name, Index: sum, Pieces: len(x), Bytes: x.Bytes()})
	t.out.Bytes, t.out.Pieces = t.out.Bytes+x.Bytes(), t.out.Pieces+len(x)
	return nil
}

func (t *taking) gather(ctx context.Context, e Extra) error {
	t.Note("reading " + e.Name)
	var x vault.Index
	err := e.Take(ctx, &t.about, func(data []byte) error {
		sum, stored, err := t.Vault.Put(data)
		if err == nil {
			x = append(x, vault.Piece{Sum: sum, Size: int64(len(data))})
			t.out.Stored += stored
		}
		return err
	})
	if err != nil || len(x) == 0 {
		return err
	}
	return t.add(e.Name, x)
}

// bringAll brings what this computer does not have of all parts.
func (t *taking) bringAll(ctx context.Context, parts []string) error {
	last := t.last()
	var wanted []request
	for _, name := range parts {
		x, err := t.Box.list(ctx, stage, name)
		if err != nil {
			return fmt.Errorf("list the pieces of %s: %w", name, err)
		}
		if x == nil {
			continue
		}
		if err := t.add(name, x); err != nil {
			return err
		}
		more, err := t.wanted(x, last.places(name))
		if err != nil {
			return err
		}
		wanted = append(wanted, more...)
		if name == MySQL {
			t.about.Tables = Tables(x)
		}
	}
	for _, r := range wanted {
		t.out.Missing += r.piece.Size
	}
	if err := t.fetchAll(ctx, last, wanted); err != nil {
		return err
	}
	return t.position()
}

// position reads the database's position from the end of its dump.
func (t *taking) position() error {
	for _, p := range t.parts {
		if p.Name != MySQL {
			continue
		}
		end, err := t.Vault.Last(p)
		if err != nil {
			return err
		}
		if m := regexp.MustCompile(`gtid_slave_pos\s*=\s*'([0-9,-]*)'`).FindSubmatch(end); m != nil {
			t.about.GTID = string(m[1])
		}
	}
	return nil
}

// wanted are the pieces that this computer lacks, each once.
func (t *taking) wanted(x vault.Index, before map[place]vault.Sum) ([]request, error) {
	var out []request
	seen := map[vault.Sum]bool{}
	for _, p := range x {
		if seen[p.Sum] {
			continue
		}
		seen[p.Sum] = true
		has, err := t.Vault.Has(p.Sum)
		if err != nil {
			return nil, err
		}
		if has {
			continue
		}
		r := request{piece: p}
		if old, ok := before[placeOf(p)]; ok && p.Key != "" {
			r.base = &old
		}
		out = append(out, r)
	}
	return out, nil
}

// perTrip bounds what is asked for at once, in bytes: it is kept in memory
// here, and sent again when the link breaks in the middle of it.
const perTrip = 4 << 20

func (t *taking) fetchAll(ctx context.Context, last previous, wanted []request) error {
	var done int64
	total := t.out.Missing
	for len(wanted) > 0 {
		n, size := 0, int64(0)
		for n < len(wanted) && (n == 0 || size+wanted[n].piece.Size <= perTrip) {
			size += wanted[n].piece.Size
			n++
		}
		if err := t.fetchSome(ctx, last, wanted[:n]); err != nil {
			return err
		}
		wanted = wanted[n:]
		if done += size; t.Progress != nil {
			t.Progress(done, total)
		}
	}
	return nil
}

func (t *taking) fetchSome(ctx context.Context, last previous, wanted []request) error {
	frames, err := t.Box.fetch(ctx, stage, wanted)
	if err != nil {
		return err
	}
	var again []request
	for i, f := range frames {
		data := f.data
		if f.delta {
			data = last.apply(*wanted[i].base, f.data)
			t.out.Differences++
		}
		if vault.SumOf(data) != wanted[i].piece.Sum {
			if !f.delta {
				return fault.New(fault.BackupFailed, "", "a piece arrived that is not what the box said it was")
			}
			// The base here was damaged: then the whole piece comes.
			t.out.Differences--
			again = append(again, request{piece: wanted[i].piece})
			continue
		}
		_, stored, err := t.Vault.Put(data)
		if err != nil {
			return err
		}
		t.out.Stored += stored
	}
	if len(again) == 0 {
		return nil
	}
	return t.fetchSome(ctx, last, again)
}

// previous is the newest backup that can be read; from it differences are made.
type previous struct {
	vault    *vault.Vault
	entry    vault.Entry
	manifest vault.Manifest
}

func (t *taking) last() previous {
	entries, err := t.Vault.Entries()
	if err != nil {
		return previous{}
	}
	for _, e := range slices.Backward(entries) {
		if m, err := t.Vault.Manifest(e); err == nil {
			return previous{t.Vault, e, m}
		}
	}
	return previous{}
}

// place is where in a part a piece belongs.
type place struct{ table, key string }

func placeOf(p vault.Piece) place { return place{p.Table, p.Key} }

func (l previous) places(part string) map[place]vault.Sum {
	out := map[place]vault.Sum{}
	p, ok := l.manifest.Part(part)
	if !ok {
		return out
	}
	x, err := l.vault.Index(l.entry, p)
	if err != nil {
		// Without differences whole pieces come.
		return out
	}
	for _, piece := range x {
		out[placeOf(piece)] = piece.Sum
	}
	return out
}

// apply returns nothing where it cannot; the sum tells.
func (l previous) apply(base vault.Sum, delta []byte) []byte {
	old, err := l.vault.Get(l.entry, base)
	if err != nil {
		return nil
	}
	data, err := patch(old, delta)
	if err != nil {
		return nil
	}
	return data
}
