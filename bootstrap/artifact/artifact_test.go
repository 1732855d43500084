package artifact

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func bring(t *testing.T, s *Store, version string) (string, error) {
	t.Helper()
	a, err := s.Resolve(t.Context(), k3s(version))
	if err != nil {
		return "", err
	}
	return s.Fetch(t.Context(), a, nil)
}

func wantContent(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(want) {
		t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
}

func wantCode(t *testing.T, err error, code fault.Code, texts ...string) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != code {
		t.Fatalf("got %v (%s), want code %s", err, fault.CodeOf(err), code)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error()+"\n"+fault.EvidenceOf(err), text) {
			t.Errorf("%q is not in %q / %q", text, err, fault.EvidenceOf(err))
		}
	}
}

func TestASecondRunNeedsNoNetwork(t *testing.T) {
	m := newMirror(t, bytesOf(300_000))
	o := m.options(t)
	path, err := bring(t, open(t, o), "stable")
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, m.content)
	m.Close()
	again, err := bring(t, open(t, o), "stable")
	if err != nil || again != path {
		t.Fatalf("got %q, %v", again, err)
	}
}

func TestProgressReachesTheWholeSize(t *testing.T) {
	m := newMirror(t, bytesOf(300_000))
	s := open(t, m.options(t))
	a, err := s.Resolve(t.Context(), k3s(release))
	if err != nil || a.Size != 300_000 {
		t.Fatal(a, err)
	}
	var last int64
	_, err = s.Fetch(t.Context(), a, func(done, total int64) {
		if done < last || total != a.Size {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil || last != a.Size {
		t.Fatal(last, err)
	}
}

func TestABrokenDownloadGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMirrorInside(t, bytesOf(300_000))
		m.before = cut(m.content, 200_000)
		path, err := bring(t, open(t, m.options(t)), release)
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, m.content)
		if got := m.ranges(); len(got) != 2 || !strings.HasPrefix(got[1], "bytes=") || got[1] == "bytes=0-" {
			t.Errorf("ranges asked for: %q", got)
		}
	})
}

func TestTheNextRunGoesOnWhereAKilledOneStopped(t *testing.T) {
	m := newMirror(t, bytesOf(300_000))
	o := m.options(t)
	s := open(t, o)
	a, err := s.Resolve(t.Context(), k3s(release))
	if err != nil {
		t.Fatal(err)
	}
	place := s.slot(a)
	if err := os.MkdirAll(filepath.Dir(place.part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(place.part, m.content[:299_000], 0o644); err != nil {
		t.Fatal(err)
	}
	path, err := bring(t, open(t, o), release)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, m.content)
	if got := m.ranges(); !slices.Equal(got, []string{"bytes=299000-"}) {
		t.Errorf("ranges asked for: %q", got)
	}
}

func TestADamagedPartIsFetchedAnew(t *testing.T) {
	m := newMirror(t, bytesOf(300_000))
	for name, size := range map[string]int{"shorter": 1000, "complete": 300_000, "longer": 300_001} {
		t.Run(name, func(t *testing.T) {
			s := open(t, m.options(t))
			a, err := s.Resolve(t.Context(), k3s(release))
			if err != nil {
				t.Fatal(err)
			}
			place := s.slot(a)
			if err := os.MkdirAll(filepath.Dir(place.part), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(place.part, make([]byte, size), 0o644); err != nil {
				t.Fatal(err)
			}
			path, err := s.Fetch(t.Context(), a, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantContent(t, path, m.content)
		})
	}
}

func TestAServerWithoutRangesIsReadFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMirrorInside(t, bytesOf(300_000))
		m.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 0 {
				return cut(m.content, 100_000)(0, w, r)
			}
			r.Header.Del("Range")
			return false
		}
		path, err := bring(t, open(t, m.options(t)), release)
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, m.content)
	})
}

func TestAFileThatChangedMeanwhileIsNotPatchedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMirrorInside(t, bytesOf(300_000))
		m.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 0 {
				w.Header().Set("ETag", `"older"`)
				return cut(make([]byte, 300_000), 100_000)(0, w, r)
			}
			if r.Header.Get("If-Range") != `"older"` {
				t.Errorf("If-Range is %q", r.Header.Get("If-Range"))
			}
			return false
		}
		path, err := bring(t, open(t, m.options(t)), release)
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, m.content)
	})
}

func TestServerErrorsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMirrorInside(t, bytesOf(1000))
		m.before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n < 3 {
				http.Error(w, "busy", http.StatusServiceUnavailable)
			}
			return n < 3
		}
		path, err := bring(t, open(t, m.options(t)), release)
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, m.content)
	})
}

func TestAServerThatStaysBrokenEndsTheDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMirrorInside(t, bytesOf(1000))
		m.before = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "broken", http.StatusInternalServerError)
			return true
		}
		var told []string
		o := m.options(t)
		o.Tell = func(text string) { told = append(told, text) }
		_, err := bring(t, open(t, o), release)
		wantCode(t, err, fault.FetchFailed, "500", "nothing has come for 2m0s")
		if len(told) != 1 || !strings.Contains(told[0], "500") || !strings.HasSuffix(told[0], "trying again for 2m0s") {
			t.Errorf("meanwhile the user was told %q", told)
		}
		if n := len(m.ranges()); n < 3 {
			t.Errorf("only %d attempts", n)
		}
	})
}

func TestASilentServerEndsTheDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMirrorInside(t, bytesOf(300_000))
		m.before = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", "300000")
			_, _ = w.Write(m.content[:1000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		_, err := bring(t, open(t, m.options(t)), release)
		wantCode(t, err, fault.FetchFailed, "silent")
	})
}

// A slow server is not a stalled one: the whole takes longer than the stall.
func TestASlowServerIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMirrorInside(t, bytesOf(30))
		m.before = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", "30")
			for i := range m.content {
				_, _ = w.Write(m.content[i : i+1])
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return true
				case <-time.After(20 * time.Millisecond):
				}
			}
			return true
		}
		o := m.options(t)
		o.Stall = 400 * time.Millisecond
		path, err := bring(t, open(t, o), release)
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, m.content)
		if n := len(m.ranges()); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
	})
}

func TestCancelEndsTheDownload(t *testing.T) {
	m := newMirror(t, bytesOf(300_000))
	ctx, cancel := context.WithCancel(t.Context())
	m.before = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	}
	s := open(t, m.options(t))
	a, err := s.Resolve(t.Context(), k3s(release))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Fetch(ctx, a, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestATamperedDownloadIsThrownAway(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	m.content[500] ^= 1
	s := open(t, m.options(t))
	a, err := s.Resolve(t.Context(), k3s(release))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Fetch(t.Context(), a, nil)
	wantCode(t, err, fault.DigestMismatch, a.SHA256, digestOf(m.content))
	left, err := filepath.Glob(filepath.Join(s.opts.CacheDir, a.SHA256, "k3s*"))
	if err != nil || len(left) > 0 {
		t.Errorf("still there: %q, %v", left, err)
	}
}

func TestADownloadOfAnotherSizeIsRefused(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	s := open(t, m.options(t))
	a, err := s.Resolve(t.Context(), k3s(release))
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.content = bytesOf(1001)
	m.mu.Unlock()
	_, err = s.Fetch(t.Context(), a, nil)
	wantCode(t, err, fault.DigestMismatch, "1000", "1001")
}

func TestATamperedCacheIsFoundAndMended(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	o := m.options(t)
	path, err := bring(t, open(t, o), release)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	path, err = bring(t, open(t, o), release)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, m.content)
}

func TestAReleaseThatChangedIsRefusedBeforeItIsFetched(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	o := m.options(t)
	if _, err := open(t, o).Resolve(t.Context(), k3s(release)); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.content = bytesOf(2000)
	m.sums = digestOf(m.content) + "  k3s\n"
	m.mu.Unlock()
	_, err := bring(t, open(t, o), release)
	wantCode(t, err, fault.LockMismatch, digestOf(bytesOf(1000)), digestOf(bytesOf(2000)))
	if len(m.ranges()) != 0 {
		t.Error("the file was fetched")
	}
	o.UpdateLock = true
	path, err := bring(t, open(t, o), release)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, m.content)
	o.UpdateLock = false
	if _, err := bring(t, open(t, o), release); err != nil {
		t.Fatalf("after the lock was moved: %v", err)
	}
}

func TestAChannelStaysWhereItWasPinned(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	o := m.options(t)
	first, err := open(t, o).Resolve(t.Context(), k3s("stable"))
	if err != nil || first.Version != release {
		t.Fatal(first, err)
	}
	m.mu.Lock()
	m.channel = "v1.37.1+k3s1"
	m.mu.Unlock()
	again, err := open(t, o).Resolve(t.Context(), k3s("stable"))
	if err != nil || again != first {
		t.Fatal(again, err)
	}
	o.UpdateLock = true
	_, err = open(t, o).Resolve(t.Context(), k3s("stable"))
	wantCode(t, err, fault.UnknownVersion, "v1.37.1%2Bk3s1")
}

func TestWhatDoesNotExistIsAnUnknownVersion(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	for name, ref := range map[string]Ref{
		"release": k3s("v9.9.9+k3s1"),
		"file":    {Name: "k3s", Version: release, File: "k3s-arm64"},
		"form":    k3s("1.36.4"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, m.options(t)).Resolve(t.Context(), ref)
			wantCode(t, err, fault.UnknownVersion)
		})
	}
	if n := m.requests(); n > 3 {
		t.Errorf("%d requests: an answer that does not change was asked for again", n)
	}
}

func TestALoginPageIsNotAListOfDigests(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	m.sums = "<html>Please log in</html>\n"
	_, err := open(t, m.options(t)).Resolve(t.Context(), k3s(release))
	wantCode(t, err, fault.FetchFailed, "line 1", K3sSums)
}

func TestRunsSideBySideFetchOnceAndAgree(t *testing.T) {
	m := newMirror(t, bytesOf(300_000))
	o := m.options(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := bring(t, open(t, o), "stable"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(m.ranges()); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestTheLockFileIsSortedAndReadBack(t *testing.T) {
	p := pins{
		Channels:  map[string]string{"k3s/stable": release},
		Artifacts: map[string]pin{},
	}
	for _, file := range []string{"zeta", "alpha", "k3s"} {
		p.Artifacts["k3s/"+release+"/"+file] = pin{SHA256: digestOf([]byte(file)), Size: 7}
	}
	back, err := parsePins("x.lock", []byte(p.text()))
	if err != nil {
		t.Fatal(err, fault.EvidenceOf(err))
	}
	if back.text() != p.text() || strings.Index(p.text(), "alpha") > strings.Index(p.text(), "zeta") {
		t.Errorf("wrote\n%sread\n%s", p.text(), back.text())
	}
}

func TestADamagedLockFileIsReportedWithItsLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ssg-bootstrap.lock")
	text := "artifacts:\n  k3s/v1.36.4+k3s1/k3s:\n    sha256: abc\n    sise: 3\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{CacheDir: t.TempDir(), LockPath: path})
	wantCode(t, err, fault.ConfigInvalid, "lock:3:5: \"abc\" is not a SHA-256 digest", "lock:4:5: unknown key \"sise\"; did you mean size?")
}

func TestWithoutALockFileNothingIsWrittenBesideTheCache(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	o := m.options(t)
	lock := o.LockPath
	o.LockPath = ""
	if _, err := bring(t, open(t, o), "stable"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(lock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock file: %v", err)
	}
}

func TestARedirectFromHTTPSToHTTPIsRefused(t *testing.T) {
	from, _ := http.NewRequest(http.MethodGet, "https://example.org/a", nil)
	to, _ := http.NewRequest(http.MethodGet, "http://example.org/a", nil)
	if err := defaultClient().CheckRedirect(to, []*http.Request{from}); err == nil {
		t.Error("followed")
	}
	if err := defaultClient().CheckRedirect(from, []*http.Request{from}); err != nil {
		t.Error(err)
	}
}

func FuzzParseSums(f *testing.F) {
	f.Add(digestOf(nil) + "  k3s\n")
	f.Add(digestOf(nil) + " *k3s-airgap-images-amd64.tar.zst\n\n")
	f.Add("<html>")
	f.Fuzz(func(t *testing.T, text string) {
		sums, err := parseSums(text)
		if err != nil {
			if sums != nil || !strings.Contains(err.Error(), "line ") {
				t.Errorf("%v, %v", sums, err)
			}
			return
		}
		for file, digest := range sums {
			if !strings.Contains(text, digest) || !matches(filePattern, file) || len(digest) != 64 {
				t.Errorf("%q: %q", file, digest)
			}
		}
	})
}
