package artifact

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// shelf is a server laid out as pkgs.tailscale.com is.
type shelf struct {
	*httptest.Server
	newest  string
	sum     string
	content []byte
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{newest: "1.102.5", content: bytesOf(50_000)}
	s.sum = digestOf(s.content)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/stable/" && r.URL.RawQuery == "mode=json":
		fmt.Fprintf(w, `{"Tarballs":{"amd64":"tailscale_%s_amd64.tgz","arm":"x"},"TarballsVersion":%q,"Debs":{}}`, s.newest, s.newest)
	case r.URL.Path == "/stable/tailscale_1.102.5_amd64.tgz.sha256":
		fmt.Fprint(w, s.sum)
	case r.URL.Path == "/stable/tailscale_1.102.5_amd64.tgz":
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.content))
	default:
		http.NotFound(w, r)
	}
}

func (s *shelf) options(t *testing.T) Options {
	return Options{CacheDir: t.TempDir(), LockPath: filepath.Join(t.TempDir(), "ssg-bootstrap.lock"), TailscaleMirror: s.URL}
}

func (s *shelf) bring(t *testing.T, store *Store, version string) (string, error) {
	t.Helper()
	version, err := store.Release(t.Context(), "tailscale", version)
	if err != nil {
		return "", err
	}
	a, err := store.Resolve(t.Context(), Ref{Name: "tailscale", Version: version, File: TailscaleTarball(version)})
	if err != nil {
		return "", err
	}
	return store.Fetch(t.Context(), a, nil)
}

func TestTheNewestTailscaleIsTakenOnceAndThenPinned(t *testing.T) {
	s := newShelf(t)
	o := s.options(t)
	path, err := s.bring(t, open(t, o), "stable")
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, s.content)
	s.newest = "1.104.0"
	if again, err := s.bring(t, open(t, o), "stable"); err != nil || again != path {
		t.Errorf("got %q, %v", again, err)
	}
	lock, err := os.ReadFile(o.LockPath)
	if err != nil || !strings.Contains(string(lock), "tailscale/stable: 1.102.5") ||
		!strings.Contains(string(lock), "tailscale/1.102.5/tailscale_1.102.5_amd64.tgz:") {
		t.Errorf("the lock file holds\n%s\n%v", lock, err)
	}
	o.UpdateLock = true
	if _, err := s.bring(t, open(t, o), "stable"); fault.CodeOf(err) != fault.UnknownVersion {
		t.Errorf("the newest is not asked for: %v", err)
	}
}

func TestATailscaleTarballThatIsNotTheListedOneIsThrownAway(t *testing.T) {
	s := newShelf(t)
	s.sum = strings.Repeat("0", 64)
	_, err := s.bring(t, open(t, s.options(t)), "1.102.5")
	wantCode(t, err, fault.DigestMismatch, s.sum)
}

func TestAPageThatIsNoIndexIsNotBelieved(t *testing.T) {
	for name, text := range map[string]string{
		"portal":        "<html>please log in</html>",
		"no version":    `{"Tarballs":{"amd64":"tailscale_1.2.3_amd64.tgz"}}`,
		"no tarball":    `{"Tarballs":{},"TarballsVersion":"1.2.3"}`,
		"another":       `{"Tarballs":{"amd64":"tailscale_1.2.2_amd64.tgz"},"TarballsVersion":"1.2.3"}`,
		"path":          `{"Tarballs":{"amd64":"../../etc"},"TarballsVersion":"1.2.3"}`,
		"no release":    `{"Tarballs":{"amd64":"tailscale_x_amd64.tgz"},"TarballsVersion":"x"}`,
		"prerelease":    `{"Tarballs":{"amd64":"tailscale_1.2.3-rc1_amd64.tgz"},"TarballsVersion":"1.2.3-rc1"}`,
		"a single text": `"1.2.3"`,
	} {
		if version, err := parseIndex(text); err == nil {
			t.Errorf("%s: read as %s", name, version)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add(`{"Tarballs":{"amd64":"tailscale_1.102.5_amd64.tgz"},"TarballsVersion":"1.102.5"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if version, err := parseIndex(text); err == nil && !matches(tailscaleReleases{}.releases(), version) {
			t.Errorf("accepted %q", version)
		}
	})
}
