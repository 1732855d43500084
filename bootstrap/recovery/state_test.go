package recovery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

const server = "var/lib/rancher/k3s/server"

// newOldBox is a box with a cluster's files, identities and volumes.
func newOldBox(t *testing.T) *local {
	t.Helper()
	l := newLocal(t)
	root := filepath.Join(l.dir, "root")
	// The header of a SQLite database in WAL mode.
	header := make([]byte, 4096)
	copy(header, "SQLite format 3\x00")
	header[18], header[19] = 2, 2
	writeFile(t, filepath.Join(root, server, "db/state.db"), string(header), 0o600)
	writeFile(t, filepath.Join(root, server, "db/state.db-wal"), "the log", 0o600)
	writeFile(t, filepath.Join(root, server, "token"), "K10canary::server:x", 0o600)
	writeFile(t, filepath.Join(root, server, "tls/server-ca.key"), "a key", 0o600)
	writeFile(t, filepath.Join(root, server, "static/large"), "not ours", 0o600)
	writeFile(t, filepath.Join(root, "etc/rancher/node/password"), "pw", 0o600)
	writeFile(t, filepath.Join(root, "var/lib/tailscale/tailscaled.state"), "{}", 0o600)
	storage := filepath.Join(root, "var/lib/rancher/k3s/storage")
	writeFile(t, filepath.Join(storage, "pvc-1_studentsystemgo_data-mysql-primary-0/ibdata1"), "the database's own", 0o600)
	writeFile(t, filepath.Join(storage, "pvc-2_default_files/a/b.txt"), "a file", 0o640)
	for _, name := range []string{"pvc-1_studentsystemgo_data-mysql-primary-0", "pvc-2_default_files"} {
		if err := os.Chmod(filepath.Join(storage, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// quiet are the commands that a test box has no use for; a sync would wait for
// whatever else this computer writes.
func (l *local) quiet(t *testing.T) {
	for _, name := range []string{"systemctl", "nft", "sync"} {
		writeFile(t, filepath.Join(l.path, name), "#!/bin/sh\necho \""+name+" $*\" >>\""+filepath.Join(l.dir, "log")+"\"\n", 0o755)
	}
}

func plan(t *testing.T, l *local, v *vault.Vault, e vault.Entry) Plan {
	t.Helper()
	m, err := v.Manifest(e)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ReadAbout(m)
	if err != nil {
		t.Fatal(err)
	}
	return Plan{Box: l.box(), Vault: v, Entry: e, Manifest: m, About: a}
}

func apply(ctx context.Context, l *local, s step.Step) error {
	changes, err := s.Plan(ctx, l)
	if err != nil {
		return err
	}
	return s.Apply(ctx, step.Run{Host: l, Note: func(text string) { l.t.Log(text) }, Progress: func(int64, int64) {}}, changes)
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cd "$1" && find . -type f -printf '%m %p\n' -o -type d -name 'pvc-*' -printf '%m %p\n' | sort -k2`, "sh", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestALostBoxGetsItsStateBackBeforeAnythingStarts cuts the restore after every
// command that it runs on the box, too: the next run goes on.
func TestALostBoxGetsItsStateBackBeforeAnythingStarts(t *testing.T) {
	state := t.TempDir()
	t.Setenv("STATE", state)
	old, v := newOldBox(t), newVault(t)
	taken, err := taker(old, v, K3s, Tailnet, Runner, Volumes).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range taken.Manifest.Parts {
		names = append(names, p.Name)
	}
	if strings.Join(names, " ") != "k3s tailnet volumes" {
		t.Fatalf("the parts are %v", names)
	}
	want := `600 ./etc/rancher/node/password
600 ./var/lib/rancher/k3s/server/db/state.db
600 ./var/lib/rancher/k3s/server/db/state.db-wal
600 ./var/lib/rancher/k3s/server/tls/server-ca.key
600 ./var/lib/rancher/k3s/server/token
600 ./var/lib/rancher/k3s/ssg-bootstrap-restore.json
777 ./var/lib/rancher/k3s/storage/pvc-1_studentsystemgo_data-mysql-primary-0
777 ./var/lib/rancher/k3s/storage/pvc-2_default_files
640 ./var/lib/rancher/k3s/storage/pvc-2_default_files/a/b.txt
600 ./var/lib/tailscale/tailscaled.state
`
	for cut := 1; ; cut++ {
		l := newLocal(t)
		l.quiet(t)
		root := filepath.Join(l.dir, "root")
		if err := errors.Join(os.MkdirAll(root, 0o755), os.Chmod(root, 0o755)); err != nil {
			t.Fatal(err)
		}
		p := plan(t, l, v, taken.Entry)
		l.cut = cut
		err := apply(t.Context(), l, p.Steps()[0])
		finished := err == nil
		l.cut = 0
		if err := apply(t.Context(), l, p.Steps()[0]); err != nil {
			t.Fatalf("after a cut at %d: %v", cut, err)
		}
		if changes, err := p.Steps()[0].Plan(t.Context(), l); err != nil || len(changes) != 0 {
			t.Errorf("the plan is not empty: %v, %v", changes, err)
		}
		door := tree(t, filepath.Join(root, "etc"))
		if !strings.Contains(door, "644 ./systemd/system/k3s.service.d/ssg-bootstrap-restore.conf") {
			t.Errorf("the door is open:\n%s", door)
		}
		// The data of a backup without services only open the door.
		if err := apply(t.Context(), l, p.Steps()[1]); err != nil {
			t.Fatal(err)
		}
		// What Helm's records say of the lost disk proves nothing of this one.
		if log, err := os.ReadFile(filepath.Join(state, "log")); err != nil || !strings.HasSuffix(string(log), "label --overwrite secret/sh.helm.release.v1.ssg.v2 ssg-bootstrap-served=no\n") {
			t.Fatalf("the release counts as seen to work: %q, %v", log, err)
		}
		if got := tree(t, root); got != want {
			t.Fatalf("cut at %d: the box has\n%s\nwant\n%s", cut, got, want)
		}
		if info, err := os.Stat(root); err != nil || info.Mode().Perm() != 0o755 {
			t.Fatalf("the root of the box: %v, %v", info.Mode(), err)
		}
		m, err := p.Box.ReadMark(t.Context(), l)
		if err != nil || m.Unfinished() || m.ID != taken.Entry.ID {
			t.Errorf("%+v, %v", m, err)
		}
		if finished {
			return
		}
	}
}

// TestWhatWasUnpackedIsComparedWithTheBackup: a disk that writes something else
// than it was given is noticed before k3s starts on it.
func TestWhatWasUnpackedIsComparedWithTheBackup(t *testing.T) {
	t.Setenv("STATE", t.TempDir())
	old, v := newOldBox(t), newVault(t)
	taken, err := taker(old, v, Volumes).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tar, err := exec.LookPath("tar")
	if err != nil {
		t.Fatal(err)
	}
	const file, folder = "var/lib/rancher/k3s/storage/pvc-2_default_files/a/b.txt", "var/lib/rancher/k3s/storage/pvc-2_default_files"
	for name, c := range map[string]struct {
		// does is what happens to the file f and its folder d while it is unpacked.
		does, says string
	}{
		"other bytes of the same age": {`cp -p "$f" "$f.was"; printf 'A file' >"$f"; touch -r "$f.was" "$f"; rm "$f.was"`, file + ": Contents differ"},
		"cut off":                     {`: >"$f"`, file + ": Size differs"},
		"gone":                        {`rm "$f"`, file + ": Warning: Cannot stat: No such file or directory"},
		"a mode":                      {`chmod 666 "$f"`, file + ": Mode differs"},
		"a folder's mode":             {`chmod 700 "$d"`, ""},
	} {
		l := newLocal(t)
		l.quiet(t)
		root := filepath.Join(l.dir, "root")
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		fake := fmt.Sprintf("#!/bin/sh\n%q \"$@\" || exit\nf=%q d=%q\ncase $* in *-xpf*) [ ! -e \"$f\" ] || { %s; } ;; esac\n", tar, filepath.Join(root, file), filepath.Join(root, folder), c.does)
		writeFile(t, filepath.Join(l.path, "tar"), fake, 0o755)
		p := plan(t, l, v, taken.Entry)
		err := apply(t.Context(), l, p.Steps()[0])
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		said := ""
		if failed := (*host.CommandError)(nil); errors.As(err, &failed) {
			said = failed.Stderr
		}
		if fault.CodeOf(err) != fault.RestoreFailed || !strings.Contains(said, c.says) || !strings.Contains(said, "volumes: what was unpacked is not what the backup holds") {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
		if m, err := p.Box.ReadMark(t.Context(), l); err != nil || m.State {
			t.Errorf("%s: the state counts as back: %+v, %v", name, m, err)
		}
		if err := os.Remove(filepath.Join(l.path, "tar")); err != nil {
			t.Fatal(err)
		}
		if err := apply(t.Context(), l, p.Steps()[0]); err != nil {
			t.Errorf("%s: the next run: %v", name, err)
		}
	}
}

// TestAPodThatIsOnlyRememberedIsWaitedFor: a cluster that came back says that
// its pods are Ready before any of them runs.
func TestAPodThatIsOnlyRememberedIsWaitedFor(t *testing.T) {
	l, state := newLocal(t), t.TempDir()
	t.Setenv("STATE", state)
	away := filepath.Join(state, "away")
	writeFile(t, away, "", 0o600)
	r := Restorer{Box: l.box(), Note: func(text string) { t.Log(text) }}
	if err := r.job(t.Context(), "await-mysql-primary"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(away); err == nil {
		t.Error("nobody asked whether the pod runs")
	}
}

// TestAnAPIThatDoesNotAnswerIsNoReasonToGoOn: the application would stay
// stopped, or count as seen to work, and nobody would say so.
func TestAnAPIThatDoesNotAnswerIsNoReasonToGoOn(t *testing.T) {
	l, state := newLocal(t), t.TempDir()
	l.quiet(t)
	t.Setenv("STATE", state)
	writeFile(t, filepath.Join(state, "deaf"), "", 0o600)
	r := Restorer{Box: l.box(), Note: func(text string) { t.Log(text) }}
	for _, what := range []string{"pause", "resume", "open"} {
		if err := r.job(t.Context(), what); err == nil {
			t.Errorf("%s went on", what)
		}
	}
}

func TestABoxWithAClusterIsNotOverwritten(t *testing.T) {
	old, v := newOldBox(t), newVault(t)
	taken, err := taker(old, v, K3s).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := apply(t.Context(), old, plan(t, old, v, taken.Entry).Steps()[0]); fault.CodeOf(err) != fault.RestoreRefused {
		t.Errorf("got %v", err)
	}
	// Volumes that lost their cluster are somebody's too.
	l := newLocal(t)
	l.quiet(t)
	file := filepath.Join(l.dir, "root/var/lib/rancher/k3s/storage/pvc-1_default_files/newer")
	writeFile(t, file, "newer", 0o600)
	if err := apply(t.Context(), l, plan(t, l, v, taken.Entry).Steps()[0]); fault.CodeOf(err) != fault.RestoreRefused {
		t.Errorf("volumes without a cluster: %v", err)
	}
}

// TestTheDoorOpensOnlyAfterItIsWrittenThatTheDataAreBack cuts the second half of
// a restore at every command: whoever goes on with it must neither replace what
// was written after the door opened, nor leave it shut.
func TestTheDoorOpensOnlyAfterItIsWrittenThatTheDataAreBack(t *testing.T) {
	t.Setenv("STATE", t.TempDir())
	old, v := newOldBox(t), newVault(t)
	taken, err := taker(old, v, K3s).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for cut, finished := 1, false; !finished; cut++ {
		l := newLocal(t)
		l.quiet(t)
		p := plan(t, l, v, taken.Entry)
		if err := apply(t.Context(), l, p.Steps()[0]); err != nil {
			t.Fatal(err)
		}
		l.ran, l.cut = 0, cut
		finished = apply(t.Context(), l, p.Steps()[1]) == nil
		l.cut = 0
		m, err := p.Box.ReadMark(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(filepath.Join(l.dir, "root/etc/ssg-bootstrap/restore.nft"))
		if open := err != nil; open && !m.Data || !open && !m.Unfinished() {
			t.Errorf("cut at %d: the door is open: %v, and the mark says %+v", cut, open, m)
		}
		if err := apply(t.Context(), l, p.Steps()[1]); err != nil {
			t.Fatalf("after a cut at %d: %v", cut, err)
		}
		if m, err := p.Box.ReadMark(t.Context(), l); err != nil || m.Unfinished() || !m.Data {
			t.Errorf("cut at %d: %+v, %v", cut, m, err)
		}
		if _, err := os.Stat(filepath.Join(l.dir, "root/etc/ssg-bootstrap/restore.nft")); err == nil {
			t.Errorf("cut at %d: the door stays shut", cut)
		}
	}
}

// TestWhatIsReplacedIsBackedUpWhenNobodyWrites: the backup is taken between the
// last write and the first replacement, and a failed one replaces nothing.
func TestWhatIsReplacedIsBackedUpWhenNobodyWrites(t *testing.T) {
	v := newVault(t)
	put := func(data []byte) error { _, _, err := v.Put(data); return err }
	old := newOldBox(t)
	tk := taker(old, v)
	tk.Extras = []Extra{{Name: RabbitMQ, Take: func(_ context.Context, _ *About, piece func([]byte) error) error {
		return errors.Join(piece([]byte("a message")), put([]byte("a message")))
	}}}
	taken, err := tk.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, fails := range []bool{true, false} {
		state := t.TempDir()
		t.Setenv("STATE", state)
		writeFile(t, filepath.Join(state, "scale"), "2\n", 0o600)
		l := newLocal(t)
		scale := func() string {
			text, err := os.ReadFile(filepath.Join(state, "scale"))
			return strings.TrimSpace(string(text)) + map[bool]string{true: "", false: "?"}[err == nil]
		}
		noted := func() bool { _, err := os.Stat(l.box().restoringPath()); return err == nil }
		var order []string
		r := Restorer{Box: l.box(), Vault: v, Note: func(text string) { t.Log(text) }, Services: map[string]Service{
			RabbitMQ: func(context.Context, func() ([]byte, error)) (Restored, error) {
				order = append(order, fmt.Sprintf("put back, %s pods, noted %v", scale(), noted()))
				return Restored{}, nil
			},
		}}
		err := r.Into(t.Context(), taken.Entry, taken.Manifest, []string{RabbitMQ}, Around{
			Before: func(context.Context) error {
				order = append(order, fmt.Sprintf("back up, %s pods, noted %v", scale(), noted()))
				if fails {
					return errCut
				}
				return nil
			},
			Proven: func(context.Context) error {
				order = append(order, fmt.Sprintf("proven, %s pods, noted %v", scale(), noted()))
				return nil
			},
			Done: func(string, Restored) {},
		})
		want := []string{"back up, 0 pods, noted false"}
		if !fails {
			want = append(want, "put back, 0 pods, noted true", "proven, 0 pods, noted true")
		}
		if !slices.Equal(order, want) || errors.Is(err, errCut) != fails || noted() || scale() != "2" {
			t.Errorf("fails %v: %v\n%q\nwant\n%q\nand then %s pods, noted %v", fails, err, order, want, scale(), noted())
		}
	}
}

// TestADamagedPieceIsBroughtAnew: what this computer's disk spoiled makes no
// backup that is listed, and heals with the next one.
func TestADamagedPieceIsBroughtAnew(t *testing.T) {
	old, v := newOldBox(t), newVault(t)
	first, err := taker(old, v, Volumes).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pieces, err := filepath.Glob(filepath.Join(v.Dir(), "pieces-*", "??", "*"))
	if err != nil || len(pieces) < 2 {
		t.Fatalf("%d pieces, %v", len(pieces), err)
	}
	for _, path := range pieces {
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		good[len(good)/2] ^= 1
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Verify(t.Context(), first.Entry, nil); fault.CodeOf(err) != fault.BackupUnreadable {
		t.Fatalf("the damage is not seen: %v", err)
	}
	second, err := taker(old, v, Volumes).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []vault.Entry{first.Entry, second.Entry} {
		if _, err := v.Verify(t.Context(), e, nil); err != nil {
			t.Errorf("backup %s: %v", e.ID, err)
		}
	}
}

// TestReadingAFileChangesNoBackup: when a file was last read is not its content.
func TestReadingAFileChangesNoBackup(t *testing.T) {
	old, v := newOldBox(t), newVault(t)
	var sums []vault.Sum
	for range 2 {
		taken, err := taker(old, v, Volumes).Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, taken.Manifest.Parts[0].Index)
		file := filepath.Join(old.dir, "root/var/lib/rancher/k3s/storage/pvc-2_default_files/a/b.txt")
		before, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Now().Add(time.Hour), before.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	if sums[0] != sums[1] {
		t.Error("another archive of the same files")
	}
}

// TestAStateThatDidNotChangeIsTheSameArchive: it is copied before it is archived,
// and when the copy was made is nobody's content.
func TestAStateThatDidNotChangeIsTheSameArchive(t *testing.T) {
	old, v := newOldBox(t), newVault(t)
	first, err := taker(old, v, K3s).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := taker(old, v, K3s).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first.Manifest.Parts[0].Index != second.Manifest.Parts[0].Index || second.Missing != 0 {
		t.Errorf("another archive of the same state: %d bytes were missing", second.Missing)
	}
}

// TestABoxWithoutRoomForACopySaysSo: the copy that only saves bytes goes first, and
// what is too large for the disk is not begun.
func TestABoxWithoutRoomForACopySaysSo(t *testing.T) {
	old, v := newOldBox(t), newVault(t)
	if _, err := taker(old, v, K3s).Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The disk has room once the last copy is gone, and then never.
	base := old.box().at(base)
	for _, enough := range []string{`[ -e "` + base + `" ] || echo 9000000`, ":"} {
		writeFile(t, filepath.Join(old.path, "df"), "#!/bin/sh\necho Avail\nif ! { "+enough+"; } | grep 9; then echo 100; fi\n", 0o755)
		_, err := taker(old, v, K3s).Take(t.Context())
		all, listErr := v.Entries()
		if enough != ":" {
			if err != nil || listErr != nil || len(all) != 2 {
				t.Errorf("with room for one copy: %v; %v, %v", err, all, listErr)
			}
			continue
		}
		failed := (*host.CommandError)(nil)
		if !errors.As(err, &failed) || !strings.Contains(failed.Stderr, "No space left on device: a copy of the data takes up to ") || listErr != nil || len(all) != 2 {
			t.Errorf("without room: %v; %v, %v", err, all, listErr)
		}
	}
}

func TestAnOlderK3sIsRefusedANewersState(t *testing.T) {
	for _, try := range []struct {
		backup, installed string
		fits              bool
	}{
		{"v1.36.4+k3s1", "v1.36.4+k3s1", true}, {"v1.36.4+k3s1", "v1.36.5+k3s1", true}, {"v1.36.4+k3s1", "v1.37.0+k3s1", true},
		{"v1.36.4+k3s2", "v1.36.4+k3s1", false}, {"v1.36.10+k3s1", "v1.36.9+k3s1", false}, {"v1.37.0+k3s1", "v1.36.4+k3s1", false},
		{"", "v1.36.4+k3s1", true},
	} {
		err := Fits(About{K3s: try.backup}, "000003", try.installed)
		if (err == nil) != try.fits || err != nil && fault.CodeOf(err) != fault.RestoreRefused {
			t.Errorf("%s onto %s: %v", try.backup, try.installed, err)
		}
	}
}

// TestABackupThatIsCutAnywhereIsGoneOnWith ends the connection after every
// command: nothing half-taken counts, and what arrived is not sent again.
func TestABackupThatIsCutAnywhereIsGoneOnWith(t *testing.T) {
	for cut := 1; ; cut++ {
		l, v := newOldBox(t), newVault(t)
		l.cut = cut
		_, err := taker(l, v, K3s, Volumes).Take(t.Context())
		finished := err == nil && l.ran < cut
		if all, listErr := v.Entries(); listErr != nil || err != nil && len(all) != 0 {
			t.Fatalf("cut at %d: %v, %v", cut, all, listErr)
		}
		l.cut = 0
		taken, err := taker(l, v, K3s, Volumes).Take(t.Context())
		if err != nil {
			t.Fatalf("after a cut at %d: %v", cut, err)
		}
		if finished {
			if taken.Missing > 70_000 {
				t.Errorf("the second backup lacked %d bytes", taken.Missing)
			}
			return
		}
	}
}
