package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

func keys(t testing.TB, further ...string) secrets.Keyring {
	t.Helper()
	k, err := secrets.WriteKeyring(t.TempDir(), nil, further)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB, dir string, k secrets.Keyring) *Vault {
	t.Helper()
	v, err := Open(Options{Dir: dir, Keys: k, Holder: "tester (pid 7)"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func piece(seed, n int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "piece %d of %d;", n, seed), 50+n)
}

// take makes a backup of so many pieces; those below shared are the same in
// every backup.
func take(v *Vault, seed, pieces, shared int, taken time.Time) (Entry, error) {
	return takeAs(v, seed, pieces, shared, Manifest{Host: "oldpc", Taken: taken})
}

func takeAs(v *Vault, seed, pieces, shared int, m Manifest) (Entry, error) {
	unlock, err := v.Lock()
	if err != nil {
		return Entry{}, err
	}
	defer unlock()
	var x Index
	for n := range pieces {
		s := seed
		if n < shared {
			s = 0
		}
		data := piece(s, n)
		sum, _, err := v.Put(data)
		if err != nil {
			return Entry{}, err
		}
		x = append(x, Piece{Sum: sum, Size: int64(len(data)), Table: "db.t", Key: fmt.Sprint(n)})
	}
	list, _, err := v.Put(x.Encode())
	if err != nil {
		return Entry{}, err
	}
	m.Parts = []Part{{Name: "mysql", Index: list, Pieces: len(x), Bytes: x.Bytes()}}
	return v.Commit(m)
}

func must(t testing.TB, v *Vault, seed int) Entry {
	t.Helper()
	e, err := take(v, seed, 6, 3, time.Date(2026, 9, 1+seed, 3, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestABackupIsReadBackByWhoeverHasTheIdentity(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "oldpc"), keys(t)
	e := must(t, open(t, dir, k), 1)
	v := open(t, dir, k)
	var last int64
	m, err := v.Verify(t.Context(), e, func(done, total int64) { last = total - done })
	if err != nil || m.ID != "000001" || last != 0 {
		t.Fatalf("%v, %+v, %d bytes were not read", err, m, last)
	}
	if _, err := open(t, dir, keys(t)).Verify(t.Context(), e, nil); !errors.Is(err, errOtherIdentity) || fault.CodeOf(err) != fault.BackupUnreadable {
		t.Errorf("another identity: %v", err)
	}
	if _, err := open(t, dir, secrets.Keyring{}).Manifest(e); !errors.Is(err, errOtherIdentity) {
		t.Errorf("no identity: %v", err)
	}
}

func TestFurtherRecipientsCanReadEverything(t *testing.T) {
	dir, mine, theirs := filepath.Join(t.TempDir(), "oldpc"), t.TempDir(), keys(t)
	alone, err := secrets.WriteKeyring(mine, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	must(t, open(t, dir, alone), 1)
	both, err := secrets.WriteKeyring(mine, nil, theirs.Names)
	if err != nil {
		t.Fatal(err)
	}
	v := open(t, dir, both)
	// What is there already is sealed anew and not asked for again.
	if has, err := v.Has(SumOf(piece(0, 1))); err != nil || !has {
		t.Fatalf("%v, %v", has, err)
	}
	e := must(t, v, 2)
	if _, err := open(t, dir, theirs).Verify(t.Context(), e, nil); err != nil {
		t.Errorf("the further recipient: %v", err)
	}
	if _, err := open(t, dir, theirs).Manifest(Entry{ID: "000001", Number: 1, pool: poolName(alone.Names)}); !errors.Is(err, errOtherIdentity) {
		t.Errorf("what was made before: %v", err)
	}
}

// TestEveryBitCounts damages every file of a backup in several places.
func TestEveryBitCounts(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "oldpc"), keys(t)
	v := open(t, dir, k)
	first := must(t, v, 1)
	e := must(t, v, 2)
	for _, path := range files(t, dir) {
		if filepath.Base(path) == "lock" || strings.HasPrefix(filepath.Base(path), "000001") {
			continue
		}
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := [][]byte{good[:len(good)-1], good[:len(good)/2], nil}
		for _, at := range []int{0, len(good) / 3, len(good) - 1} {
			flipped := slices.Clone(good)
			flipped[at] ^= 1
			bad = append(bad, flipped)
		}
		for i, data := range bad {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := open(t, dir, k).Verify(t.Context(), e, nil)
			if needs(t, v, e)[path] != (fault.CodeOf(err) == fault.BackupUnreadable) {
				t.Errorf("%s, damage %d: %v", path, i, err)
			}
			next := "--restore 000001"
			if needs(t, v, first)[path] {
				next = "no older one can be taken" // it is every backup's
			}
			if err != nil && !strings.Contains(fault.NextOf(err), next) {
				t.Errorf("the next command is %q", fault.NextOf(err))
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open(t, dir, k).Verify(t.Context(), e, nil); err != nil {
		t.Error(err)
	}
}

// needs are the files without which a backup cannot be read.
func needs(t testing.TB, v *Vault, e Entry) map[string]bool {
	t.Helper()
	out := map[string]bool{filepath.Join(v.Dir(), e.file()): true, v.bare(e.pool).keyPath(): true}
	for path := range v.mustNeed(t, e) {
		out[path] = true
	}
	return out
}

// remembered answers from what was read while all was well.
func (v *Vault) mustNeed(t testing.TB, e Entry) map[string]bool {
	p, err := v.pool(e.pool)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	var x Index
	for n := range 6 {
		seed := e.Number
		if n < 3 {
			seed = 0
		}
		data := piece(seed, n)
		sum := SumOf(data)
		out[p.path(sum)] = true
		x = append(x, Piece{Sum: sum, Size: int64(len(data)), Table: "db.t", Key: fmt.Sprint(n)})
	}
	out[p.path(SumOf(x.Encode()))] = true
	return out
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// cutDisk is a disk whose computer dies at a certain call: that call does half
// of its work or none, and no later one does anything.
type cutDisk struct {
	realDisk
	left  int
	cause error
}

var errDead = errors.New("the computer is off")

func (d *cutDisk) dead() bool {
	d.left--
	return d.left < 0
}

func (d *cutDisk) mkdir(path string) error {
	if d.dead() {
		return d.cause
	}
	return d.realDisk.mkdir(path)
}

func (d *cutDisk) create(path string, data []byte) error {
	if d.dead() {
		if d.left == -1 {
			_ = d.realDisk.create(path, data[:len(data)/2])
		}
		return d.cause
	}
	return d.realDisk.create(path, data)
}

func (d *cutDisk) rename(from, to string) error {
	if d.dead() {
		return d.cause
	}
	return d.realDisk.rename(from, to)
}

func (d *cutDisk) remove(path string) error {
	if d.dead() {
		return d.cause
	}
	return d.realDisk.remove(path)
}

func (d *cutDisk) syncDir(path string) error {
	if d.dead() {
		return d.cause
	}
	return d.realDisk.syncDir(path)
}

// TestARunThatIsCutAnywhereLeavesWholeBackups cuts a first and a second backup
// and a prune at every call to the disk. What is listed afterwards is whole,
// and the next run succeeds.
func TestARunThatIsCutAnywhereLeavesWholeBackups(t *testing.T) {
	k := keys(t)
	at := func(n int) time.Time { return time.Date(2026, 9, n, 3, 0, 0, 0, time.UTC) }
	for name, run := range map[string]func(v *Vault) error{
		"backup": func(v *Vault) error { _, err := take(v, 9, 4, 2, at(9)); return err },
		"prune": func(v *Vault) error {
			unlock, err := v.Lock()
			if err != nil {
				return err
			}
			defer unlock()
			_, err = v.Prune(context.Background(), Keep{Last: 1}, false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for cut := 0; ; cut++ {
				dir := filepath.Join(t.TempDir(), "oldpc")
				if cut%2 == 1 || name == "prune" {
					for n := 1; n < 3; n++ {
						if _, err := take(open(t, dir, k), n, 4, 2, at(n)); err != nil {
							t.Fatal(err)
						}
					}
				}
				v := open(t, dir, k)
				v.disk = &cutDisk{left: cut / 2, cause: errDead}
				err := run(v)
				whole(t, open(t, dir, k), cut)
				if err == nil && cut%2 == 1 {
					return
				}
				if _, err := take(open(t, dir, k), 10, 4, 2, at(10)); err != nil {
					t.Fatalf("after a cut at %d: %v", cut, err)
				}
				whole(t, open(t, dir, k), cut)
				for _, f := range files(t, dir) {
					if strings.HasPrefix(filepath.Base(f), unfinished) {
						t.Fatalf("cut at %d: %s was left", cut, f)
					}
				}
			}
		})
	}
}

func whole(t *testing.T, v *Vault, cut int) {
	t.Helper()
	all, err := v.Entries()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if _, err := v.Verify(t.Context(), e, nil); err != nil {
			t.Fatalf("cut at %d: backup %s: %v", cut, e.ID, err)
		}
	}
}

func TestADiskThatIsFullSaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "oldpc")
	k := keys(t)
	must(t, open(t, dir, k), 1)
	v := open(t, dir, k)
	v.disk = &cutDisk{left: 4, cause: &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}}
	_, err := take(v, 2, 5, 0, time.Now())
	if fault.CodeOf(err) != fault.BackupFailed || !strings.Contains(err.Error(), "no space left") || !strings.Contains(fault.NextOf(err), "prune") {
		t.Errorf("%v; next: %s", err, fault.NextOf(err))
	}
	all, err := open(t, dir, k).Entries()
	if err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestABackupThatItsMakerCannotReadIsNotBegun: it could not be read back, and what
// was not read back is no backup.
func TestABackupThatItsMakerCannotReadIsNotBegun(t *testing.T) {
	dir, mine, theirs := filepath.Join(t.TempDir(), "oldpc"), keys(t), keys(t)
	v := open(t, dir, secrets.Keyring{Names: theirs.Names, Recipients: theirs.Recipients, Identities: mine.Identities})
	if _, err := take(v, 1, 2, 0, time.Now()); !errors.Is(err, errOtherIdentity) || !strings.Contains(err.Error(), "none of the recipients") {
		t.Errorf("got %v", err)
	}
	for _, path := range files(t, dir) {
		if filepath.Base(path) != "lock" {
			t.Errorf("%s was written", path)
		}
	}
}

func TestTwoRunsAtOnceAreToldOfEachOther(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "oldpc"), keys(t)
	unlock, err := open(t, dir, k).Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, k).Lock(); fault.CodeOf(err) != fault.BackupBusy || !strings.Contains(err.Error(), "tester (pid 7)") {
		t.Errorf("a second writer: %v", err)
	}
	if _, err := open(t, dir, k).Hold(); fault.CodeOf(err) != fault.BackupBusy {
		t.Errorf("a reader beside a writer: %v", err)
	}
	unlock()
	r1, err1 := open(t, dir, k).Hold()
	r2, err2 := open(t, dir, k).Hold()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if _, err := open(t, dir, k).Lock(); fault.CodeOf(err) != fault.BackupBusy {
		t.Errorf("a writer beside readers: %v", err)
	}
	r1()
	r2()
}

func TestBackupsAreOrderedByNumberWhateverTheClockSays(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "oldpc"), keys(t)
	v := open(t, dir, k)
	now := time.Date(2026, 9, 30, 0, 0, 0, 0, time.UTC)
	for n, taken := range []time.Time{now, now.AddDate(-30, 0, 0), now.AddDate(1, 0, 0)} {
		if _, err := take(v, n, 2, 0, taken); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := v.Find("latest"); err != nil || e.ID != "000003" {
		t.Errorf("%v, %v", e, err)
	}
	if _, ok := Age(now.AddDate(1, 0, 0), now); ok {
		t.Error("a backup from the future has an age")
	}
	if e, err := v.Find("2"); err != nil || e.ID != "000002" {
		t.Errorf("%v, %v", e, err)
	}
	if _, err := v.Find("4"); fault.CodeOf(err) != fault.BackupNone {
		t.Error(err)
	}
}

// TestWhatARestoreReplacedIsNeverTheLatest: it holds one part, and what was
// wrong with that.
func TestWhatARestoreReplacedIsNeverTheLatest(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "oldpc"), keys(t)
	v := open(t, dir, k)
	partial := func(seed int) Entry {
		t.Helper()
		e, err := takeAs(v, seed, 6, 3, Manifest{Host: "oldpc", Taken: time.Date(2026, 9, 1+seed, 3, 0, 0, 0, time.UTC), Partial: true})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	partial(1)
	if e, err := v.Find("latest"); fault.CodeOf(err) != fault.BackupNone {
		t.Errorf("with a partial one alone: %v, %v", e, err)
	}
	second := must(t, v, 2)
	third := partial(3)
	if e, err := v.Find("latest"); err != nil || e != second {
		t.Errorf("the latest is %v, %v", e, err)
	}
	if e, err := v.Find("3"); err != nil || e != third {
		t.Errorf("by its number: %v, %v", e, err)
	}
	fourth := must(t, v, 4)
	damage(t, filepath.Join(dir, fourth.file()))
	// The damaged one is told of, and what is offered in its place is whole.
	v = open(t, dir, k)
	if e, err := v.Find("latest"); err != nil || e != fourth {
		t.Errorf("the latest is %v, %v", e, err)
	}
	if _, err := v.Manifest(fourth); fault.CodeOf(err) != fault.BackupUnreadable || !strings.Contains(fault.NextOf(err), "--restore 000002") {
		t.Errorf("%v; next %s", err, fault.NextOf(err))
	}
	damage(t, filepath.Join(dir, second.file()))
	if _, err := open(t, dir, k).Manifest(fourth); !strings.Contains(fault.NextOf(err), "no older one can be taken") {
		t.Errorf("next %s", fault.NextOf(err))
	}
}

func damage(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-2] ^= 4
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
