package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Keep says which backups are kept: the last ones, and the newest of each of
// the last days, weeks and months that have one.
type Keep struct {
	Last, Daily, Weekly, Monthly int
}

// Dated is a backup with the time at which it was taken.
type Dated struct {
	Entry   Entry
	Taken   time.Time
	Partial bool
}

// Choose returns the backups that are kept; all are given, the oldest first.
// The newest is always kept. Days are counted by the backups' own order: a
// clock that was wrong makes a day look full, and never removes the newest.
// Partial ones never take the place of one that a box can be made of: they are
// kept as long as they are younger than the last ones.
func (k Keep) Choose(all []Dated) []Dated {
	var whole, out []Dated
	for _, d := range all {
		if !d.Partial {
			whole = append(whole, d)
		}
	}
	kept := k.chooseWhole(whole)
	since := 0
	if n := len(whole); n > 0 {
		since = whole[max(0, n-max(k.Last, 1))].Entry.Number
	}
	for _, d := range all {
		if d.Partial && d.Entry.Number > since || slices.Contains(kept, d) {
			out = append(out, d)
		}
	}
	return out
}

func (k Keep) chooseWhole(all []Dated) []Dated {
	chosen := make([]bool, len(all))
	for i := range all {
		if len(all)-i <= max(k.Last, 1) {
			chosen[i] = true
		}
	}
	for _, rule := range []struct {
		most   int
		period func(time.Time) string
	}{
		{k.Daily, func(t time.Time) string { return t.Format("2006-01-02") }},
		{k.Weekly, func(t time.Time) string {
			year, week := t.ISOWeek()
			return fmt.Sprintf("%d-%d", year, week)
		}},
		{k.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
	} {
		had := map[string]bool{}
		for i := len(all) - 1; i >= 0 && len(had) < rule.most; i-- {
			if p := rule.period(all[i].Taken.UTC()); !had[p] {
				had[p], chosen[i] = true, true
			}
		}
	}
	var out []Dated
	for i, d := range all {
		if chosen[i] {
			out = append(out, d)
		}
	}
	return out
}

// Pruned is what a Prune removed.
type Pruned struct {
	Removed []Entry
	Kept    []Entry
	// Pieces and Bytes are what was freed.
	Pieces int
	Bytes  int64
}

// Prune removes the backups that are not kept and then the pieces that no
// other backup needs. The vault must be locked. One backup that cannot be read
// keeps everything: nobody knows what it needs. With dry, nothing is removed.
func (v *Vault) Prune(ctx context.Context, k Keep, dry bool) (Pruned, error) {
	var out Pruned
	all, err := v.dated()
	if err != nil {
		return out, err
	}
	kept := k.Choose(all)
	for _, d := range all {
		if slices.ContainsFunc(kept, func(x Dated) bool { return x.Entry == d.Entry }) {
			out.Kept = append(out.Kept, d.Entry)
		} else {
			out.Removed = append(out.Removed, d.Entry)
		}
	}
	// All lists are read before anything goes.
	needed, err := v.needed(out.Kept)
	if err != nil || dry {
		return out, err
	}
	for _, e := range out.Removed {
		if err := v.disk.remove(filepath.Join(v.opts.Dir, e.file())); err != nil {
			return out, v.failed("remove backup "+e.ID, err)
		}
	}
	// Pieces go only when no manifest on the disk can name them any more.
	if err := v.disk.syncDir(v.opts.Dir); err != nil {
		return out, v.failed("remove backups", err)
	}
	out.Pieces, out.Bytes, err = v.sweep(ctx, needed)
	return out, err
}

// dated opens all manifests.
func (v *Vault) dated() ([]Dated, error) {
	entries, err := v.Entries()
	if err != nil {
		return nil, err
	}
	var out []Dated
	for _, e := range entries {
		m, err := v.Manifest(e)
		if err != nil {
			return nil, v.keepAll(e, err)
		}
		out = append(out, Dated{e, m.Taken, m.Partial})
	}
	return out, nil
}

func (v *Vault) keepAll(e Entry, err error) error {
	return &fault.Error{
		Code: fault.BackupUnreadable, Op: "prune", Err: err,
		Next: "nothing was removed, for nobody knows what this backup needs; move " + filepath.Join(v.opts.Dir, e.file()) + " away, or bring back its age identity",
	}
}

// needed are the paths of all pieces of the given backups.
func (v *Vault) needed(entries []Entry) (map[string]bool, error) {
	out := map[string]bool{}
	for _, e := range entries {
		m, err := v.Manifest(e)
		if err != nil {
			return nil, v.keepAll(e, err)
		}
		p, err := v.pool(e.pool)
		if err != nil {
			return nil, v.keepAll(e, err)
		}
		for _, part := range m.Parts {
			out[p.path(part.Index)] = true
			x, err := v.Index(e, part)
			if err != nil {
				return nil, v.keepAll(e, err)
			}
			for _, piece := range x {
				out[p.path(piece.Sum)] = true
			}
		}
	}
	return out, nil
}

// sweep removes the pieces that are not needed.
func (v *Vault) sweep(ctx context.Context, needed map[string]bool) (pieces int, bytes int64, err error) {
	names, err := v.poolNames()
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		dir := filepath.Join(v.opts.Dir, poolPrefix+name)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err := interrupted(ctx); err != nil {
				return err
			}
			if err != nil || d.IsDir() || needed[path] || path == filepath.Join(dir, "key") {
				return err
			}
			info, err := d.Info()
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			pieces, bytes = pieces+1, bytes+info.Size()
			return v.disk.remove(path)
		})
		if err != nil {
			return pieces, bytes, v.failed("remove pieces that no backup needs", err)
		}
	}
	return pieces, bytes, nil
}
