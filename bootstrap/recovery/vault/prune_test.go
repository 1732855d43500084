package vault

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func TestPruneRemovesWhatNobodyNeedsAndNothingElse(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "oldpc"), keys(t)
	v := open(t, dir, k)
	for n := range 5 {
		must(t, v, n+1)
	}
	unlock, err := v.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	before := len(files(t, dir))
	if out, err := v.Prune(t.Context(), Keep{Last: 2}, true); err != nil || len(out.Removed) != 3 || len(files(t, dir)) != before {
		t.Fatalf("a dry run: %+v, %v", out, err)
	}
	out, err := v.Prune(t.Context(), Keep{Last: 2}, false)
	// Three manifests, their lists and the three pieces that each had alone.
	if err != nil || len(out.Removed) != 3 || out.Pieces != 12 || len(files(t, dir)) != before-15 {
		t.Errorf("%+v, %v, %d files", out, err, len(files(t, dir)))
	}
	whole(t, v, 0)
	out, err = v.Prune(t.Context(), Keep{Last: 2}, false)
	if err != nil || len(out.Removed) != 0 || out.Pieces != 0 {
		t.Errorf("again: %+v, %v", out, err)
	}
}

func TestABackupThatCannotBeReadKeepsEverything(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "oldpc"), keys(t)
	v := open(t, dir, k)
	e := must(t, v, 1)
	must(t, v, 2)
	must(t, v, 3)
	damage(t, filepath.Join(dir, e.file()))
	before := files(t, dir)
	_, err := open(t, dir, k).Prune(t.Context(), Keep{Last: 1}, false)
	if fault.CodeOf(err) != fault.BackupUnreadable || !strings.Contains(fault.NextOf(err), "nothing was removed") {
		t.Errorf("%v; next %s", err, fault.NextOf(err))
	}
	if !slices.Equal(before, files(t, dir)) {
		t.Error("something was removed")
	}
}

// TestRetentionHoldsItsRules draws histories, also with clocks that jump.
func TestRetentionHoldsItsRules(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var all []Dated
		for n := range 1 + r.IntN(80) {
			at = at.Add(time.Duration(r.IntN(60)-4) * time.Hour)
			all = append(all, Dated{Entry: Entry{ID: idOf(n + 1), Number: n + 1}, Taken: at})
		}
		k := Keep{r.IntN(5), r.IntN(8), r.IntN(5), r.IntN(4)}
		kept := k.Choose(all)
		say := fmt.Sprintf("seed %d, %+v, %d backups", seed, k, len(all))
		if kept[len(kept)-1] != all[len(all)-1] {
			t.Fatalf("%s: the newest went", say)
		}
		if len(kept) < min(len(all), max(k.Last, 1)) || len(kept) > max(k.Last, 1)+k.Daily+k.Weekly+k.Monthly {
			t.Fatalf("%s: %d are kept", say, len(kept))
		}
		// Choosing again from what is kept removes nothing more.
		if again := k.Choose(kept); !slices.Equal(again, kept) {
			t.Fatalf("%s: a second prune keeps %d of %d", say, len(again), len(kept))
		}
		if !slices.IsSortedFunc(kept, func(a, b Dated) int { return a.Entry.Number - b.Entry.Number }) {
			t.Fatalf("%s: out of order", say)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(Index{{Sum: SumOf([]byte("x")), Size: 3, Rows: 1, Table: "a b.\"c\"\n\x00ü", Key: "1"}, {}}.Encode())
	f.Add([]byte("x 1 2 \"\" \"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := DecodeIndex(text)
		if err == nil && string(x.Encode()) != string(text) {
			t.Errorf("%q is read as %+v", text, x)
		}
	})
}

func FuzzManifest(f *testing.F) {
	m := Manifest{Format: formatVersion, ID: "000001", Host: "oldpc", Parts: []Part{{Name: "mysql", Pieces: 1, Bytes: 2}}}
	text, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeManifest(text)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(again); err != nil {
			t.Errorf("%q is written as %q: %v", text, again, err)
		}
	})
}

// FuzzSealed gives what lies on the disk any content.
func FuzzSealed(f *testing.F) {
	k := keys(f)
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := c.seal([]byte("a piece"), k.Recipients)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, data []byte) {
		if plain, err := c.unseal(data, 1<<20, k.Identities); err == nil && string(plain) != "a piece" {
			t.Errorf("opened %q", plain)
		}
	})
}

// TestWhatARestoreReplacedTakesNobodysPlace: a day whose last backup is such a
// one keeps the one that a box can be made of.
func TestWhatARestoreReplacedTakesNobodysPlace(t *testing.T) {
	day := time.Date(2026, 9, 1, 3, 0, 0, 0, time.UTC)
	var all []Dated
	for n, partial := range []bool{false, true, false, true, false, true, true} {
		all = append(all, Dated{Entry{ID: idOf(n + 1), Number: n + 1}, day.Add(time.Duration(n/2) * 24 * time.Hour), partial})
	}
	for want, k := range map[string]Keep{
		"000001 000003 000005 000006 000007": {Last: 1, Daily: 7},
		"000003 000004 000005 000006 000007": {Last: 2},
		"000005 000006 000007":               {},
	} {
		var ids []string
		for _, d := range k.Choose(all) {
			ids = append(ids, d.Entry.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%+v keeps %s, want %s", k, got, want)
		}
	}
}
