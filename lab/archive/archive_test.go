package archive_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/lab/archive"
)

// pack makes a package that holds one file.
func pack(t *testing.T, name, version, depends string) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), name)
	for _, folder := range []string{"DEBIAN", "usr/share/doc/" + name} {
		// dpkg-deb looks at the mode, which the umask of who runs the test may narrow.
		path := filepath.Join(tree, folder)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n%sDescription: made for a test\n with a second line\n", name, version, depends)
	for path, content := range map[string]string{"DEBIAN/control": control, "usr/share/doc/" + name + "/copyright": name + "\n"} {
		if err := os.WriteFile(filepath.Join(tree, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	deb := filepath.Join(t.TempDir(), name+"_"+strings.ReplaceAll(version, ":", "%3a")+"_amd64.deb")
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", tree, deb).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, out)
	}
	return deb
}

// The machine's own apt, in folders of the test's own, fetches the lists, picks
// the newest by name and downloads it with what it depends on.
func TestAptInstallsFromIt(t *testing.T) {
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here: not a Debian", tool)
		}
	}
	dir := t.TempDir()
	debs := []string{pack(t, "libicu76", "1:76.1-4", "Depends: libbase1\n"), pack(t, "libicu72", "72.1-3", ""), pack(t, "libbase1", "1.0-1", "")}
	if err := archive.Write(dir, "trixie", debs); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(archive.Beside(dir, http.NotFoundHandler()))
	t.Cleanup(server.Close)
	private := t.TempDir()
	for _, folder := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(private, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sources := filepath.Join(private, "box.sources")
	text := fmt.Sprintf("Types: deb\nURIs: %s%s\nSuites: trixie\nComponents: main\nTrusted: yes\n", server.URL, archive.Path)
	if err := os.WriteFile(sources, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	apt := func(tool string, args ...string) string {
		t.Helper()
		options := []string{
			"-q", "-oDir::Etc::SourceList=" + sources, "-oDir::Etc::SourceParts=-", "-oDir::Etc::PreferencesParts=-", "-oDir::Etc::Parts=-", "-oDir::Etc::Main=-",
			"-oDir::State::Lists=" + private + "/lists", "-oDir::State::status=/dev/null", "-oDir::Cache=" + private + "/cache",
			"-oAPT::Architecture=amd64", "-oAPT::Architectures=amd64", "-oAPT::Update::Error-Mode=any", "-oAPT::Sandbox::User=root", "-oDebug::NoLocking=true",
			"-oAcquire::http::Proxy=DIRECT",
		}
		out, err := exec.Command(tool, append(options, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", tool, args, err, out)
		}
		return string(out)
	}
	if out := apt("apt-get", "update"); strings.Contains(out, "\nW:") || strings.Contains(out, "\nE:") {
		t.Errorf("apt-get update: %s", out)
	}
	if names := apt("apt-cache", "pkgnames", "libicu"); !strings.Contains(names, "libicu76\n") || !strings.Contains(names, "libicu72\n") {
		t.Errorf("apt knows %q", names)
	}
	apt("apt-get", "install", "--yes", "--download-only", "--no-install-recommends", "libicu76")
	got, err := filepath.Glob(filepath.Join(private, "cache", "archives", "*.deb"))
	if err != nil || len(got) != 2 {
		t.Errorf("downloaded %v, %v, want libicu76 and libbase1", got, err)
	}
}

func TestBesideServesTheRest(t *testing.T) {
	other := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	handler := archive.Beside(t.TempDir(), other)
	for path, want := range map[string]int{"/debian/dists/trixie/Release": http.StatusNotFound, "/debian/../secret": http.StatusNotFound, "/api/v3/repos": http.StatusOK, "/debianized": http.StatusOK} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if answer.Code != want {
			t.Errorf("%s: %d, want %d", path, answer.Code, want)
		}
	}
}
