package host_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

// blob makes a local file of random bytes.
func blob(t testing.TB, size int64, path string) (host.Blob, []byte) {
	t.Helper()
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(t.TempDir(), "artifact")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return host.Blob{Local: local, SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), Size: size, Path: path, Mode: 0o755}, data
}

func TestPutWritesAtomicallyAndLeavesNothingBehind(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{SudoPassword: "pw"})
	c := box.Connect(t)
	for _, content := range []string{"one\n", "", "two \x00 bytes"} {
		f := host.File{Path: "/etc/some/where/file.conf", Mode: 0o640, Content: []byte(content)}
		if err := c.Put(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if got := box.ReadFile(f.Path); got != content {
			t.Errorf("got %q, want %q", got, content)
		}
	}
	info, err := os.Stat(box.Path("/etc/some/where/file.conf"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got %v, %v; want mode 0640", info.Mode(), err)
	}
	entries, err := os.ReadDir(box.Path("/etc/some/where"))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v; want one file", entries, err)
	}
}

func TestPutWritesSeveralFilesOrNone(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	files := []host.File{
		{Path: "/etc/one/a", Mode: 0o600, Content: bytes.Repeat([]byte("a secret\n"), 20_000)},
		{Path: "/etc/one/b", Mode: 0o644},
		{Path: "/usr/local/bin/c", Mode: 0o755, Content: []byte("#!/bin/sh\n")},
		{Path: "/etc/one/with a 'quote", Mode: 0o640, Content: []byte("no end")},
	}
	box.WriteFile("/etc/one/with a 'quote/full", "", 0o644)
	if err := c.Put(t.Context(), files...); err == nil {
		t.Error("a folder was replaced by a file")
	}
	box.Exec("rm -r /etc/one /usr/local/bin/c")
	// The disk is full at the last one.
	landed := len(box.Ran("mv"))
	last := "count=" + strconv.Itoa(len(files[3].Content))
	box.Command("dd", func(c *hosttest.Call) int {
		if c.Has(last) {
			return c.Errorf("dd: error writing: No space left on device")
		}
		return c.Real()
	})
	if err := c.Put(t.Context(), files...); fault.CodeOf(err) != fault.DiskFull {
		t.Errorf("on a full disk: %v", err)
	}
	if early := box.Ran("mv")[landed:]; len(early) != 0 {
		t.Errorf("files took their places without the others: %q", early)
	}
	for _, line := range box.Files() {
		if strings.HasPrefix(line, "/etc/one/") || strings.HasPrefix(line, "/usr/local/bin/") {
			t.Errorf("left behind: %s", line)
		}
	}
	box.Command("dd", nil)
	if err := c.Put(t.Context(), files...); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(box.Path(f.Path))
		if got := box.ReadFile(f.Path); err != nil || got != string(f.Content) || info.Mode().Perm() != f.Mode {
			t.Errorf("%s: %d bytes with %v, %v", f.Path, len(got), info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(box.Path("/etc/one")); err != nil || len(entries) != 3 {
		t.Errorf("the folder has %v, %v; want three files", entries, err)
	}
}

func TestPutSurvivesCutsAnywhere(t *testing.T) {
	t.Parallel()
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	old, want := strings.Repeat("old\n", 500), strings.Repeat("new!\n", 500)
	for cut := int64(1); cut < 5400; cut += 331 {
		box.WriteFile("/etc/f", old, 0o644)
		box.Link.CutAfterIn(cut)
		if err := c.Put(t.Context(), host.File{Path: "/etc/f", Mode: 0o644, Content: []byte(want)}); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if got := box.ReadFile("/etc/f"); got != want {
			t.Fatalf("cut at %d: the file has %d bytes, %.20q", cut, len(got), got)
		}
	}
}

func TestSendBringsAFileAndThenNothing(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{SudoPassword: "pw"})
	c := box.Connect(t)
	b, data := blob(t, 9<<20+12345, "/usr/local/bin/k3s")
	var last int64
	sent, err := c.Send(t.Context(), b, func(done, total int64) { last = done })
	if err != nil {
		t.Fatal(err)
	}
	if got := box.ReadFile(b.Path); !bytes.Equal([]byte(got), data) {
		t.Fatalf("the box has %d bytes, other ones", len(got))
	}
	if sent.Bytes != b.Size || sent.Resumed != 0 || last != b.Size {
		t.Errorf("sent %+v, last progress %d", sent, last)
	}
	before := c.Stats().BytesOut
	again, err := c.Send(t.Context(), b, nil)
	if err != nil || again.Bytes != 0 || again.Resumed != b.Size {
		t.Errorf("sent again: %+v, %v", again, err)
	}
	if moved := c.Stats().BytesOut - before; moved > 8<<10 {
		t.Errorf("asking whether it is there took %d bytes", moved)
	}
	entries, err := os.ReadDir(box.Path("/var/lib/ssg-bootstrap/uploads"))
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestSendGoesOnAfterCutsWithinOneCall(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	b, data := blob(t, 10<<20, "/usr/local/bin/k3s")
	box.Link.CutAfterIn(3 << 20)
	cuts := 0
	sent, err := c.Send(t.Context(), b, func(done, _ int64) {
		if done > 7<<20 && cuts == 0 {
			cuts++
			box.Link.Cut()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := box.ReadFile(b.Path); !bytes.Equal([]byte(got), data) {
		t.Fatal("the box has other bytes")
	}
	t.Logf("sent %+v over %d connections", sent, c.Stats().Connects)
	if c.Stats().Connects != 3 {
		t.Errorf("%d connections, want 3", c.Stats().Connects)
	}
}

func TestAKilledSendResumesWhereTheBytesArrived(t *testing.T) {
	t.Parallel()
	const size = 6 << 20
	for cut := int64(200 << 10); cut < size; cut += 700 << 10 {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			box := hosttest.New(t, hosttest.Config{})
			b, data := blob(t, size, "/usr/local/bin/k3s")
			first, err := host.Connect(t.Context(), box.Target(), box.Options())
			if err != nil {
				t.Fatal(err)
			}
			part := func() int64 {
				info, err := os.Stat(box.Path("/var/lib/ssg-bootstrap/uploads/" + b.SHA256 + ".part"))
				if err != nil {
					return 0
				}
				return info.Size()
			}
			box.Link.CutAfterIn(cut)
			box.Link.OnCut(func() { box.Link.Refuse(true); _ = first.Close() })
			if _, err = first.Send(t.Context(), b, nil); err == nil {
				t.Fatal("the first run was not killed")
			}
			box.Idle()
			arrived := part()
			box.Link.Refuse(false)
			box.Link.OnCut(nil)
			before := box.Link.In()
			sent, err := box.Connect(t).Send(t.Context(), b, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := box.ReadFile(b.Path); !bytes.Equal([]byte(got), data) {
				t.Fatal("the box has other bytes")
			}
			// Everything that crossed the wire in both runs, over what it had to be.
			again := cut + box.Link.In() - before - size
			if sent.Resumed != arrived || sent.Bytes != size-arrived || again*100 > size {
				t.Errorf("arrived %d, sent %+v, %d bytes twice or besides", arrived, sent, again)
			}
		})
	}
}

// A client that was killed may have left a receiver that has all bytes and
// finishes the file while the next run looks at it.
func TestWhatAKilledRunFinishesMeanwhileIsFound(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	b, data := blob(t, 1<<20, "/usr/local/bin/k3s")
	part := "/var/lib/ssg-bootstrap/uploads/" + b.SHA256 + ".part"
	box.WriteFile(part, string(data[:1000]), 0o600)
	box.Command("dd", func(c *hosttest.Call) int {
		box.WriteFile(b.Path, string(data), b.Mode)
		box.Exec("rm " + part)
		return c.Errorf("dd: failed to open '%s': No such file or directory", part)
	})
	if _, err := box.Connect(t).Send(t.Context(), b, nil); err != nil {
		t.Error(err)
	}
}

func TestSendFindsATornTail(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	b, data := blob(t, 13<<20, "/usr/local/bin/k3s")
	torn := bytes.Clone(data[:9<<20])
	clear(torn[5<<20 : 6<<20])
	part := "/var/lib/ssg-bootstrap/uploads/" + b.SHA256 + ".part"
	box.WriteFile(part, string(torn), 0o600)
	sent, err := c.Send(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if sent.Bytes != 8<<20 || sent.Resumed != 5<<20 {
		t.Errorf("sent %+v, want the bad chunk of 4 MiB and the 4 MiB that were absent", sent)
	}
	if got := box.ReadFile(b.Path); !bytes.Equal([]byte(got), data) {
		t.Fatal("the box has other bytes")
	}
}

func TestSendRefusesWhenThereIsNoRoom(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	box.Command("df", func(c *hosttest.Call) int { c.Printf("    Avail\n  1048576\n"); return 0 })
	b, _ := blob(t, 4<<20, "/usr/local/bin/k3s")
	_, err := box.Connect(t).Send(t.Context(), b, nil)
	if fault.CodeOf(err) != fault.DiskFull || !strings.Contains(fault.NextOf(err), "free 4 MiB") {
		t.Errorf("got %v, next %q", err, fault.NextOf(err))
	}
}

func TestSendOfAChangedLocalFileFailsAfterOneRetry(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	b, _ := blob(t, 1<<20, "/usr/local/bin/k3s")
	b.SHA256 = strings.Repeat("ab", 32)
	sent, err := box.Connect(t).Send(t.Context(), b, nil)
	if fault.CodeOf(err) != fault.DigestMismatch || box.Exists(b.Path) {
		t.Errorf("got %v after %+v", err, sent)
	}
}
