package debian

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine makes an /etc of a Debian 12 machine with the given apt files.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	etc := t.TempDir()
	files["os-release"] = "ID=debian\nVERSION_CODENAME=bookworm\n"
	for name, content := range files {
		path := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return etc
}

func TestSourcesFromStanzas(t *testing.T) {
	etc := machine(t, map[string]string{"apt/sources.list.d/debian.sources": `Types: deb
# a comment: with a colon
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://archive.example/security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://archive.example/off
Suites: bookworm
Components: main

Types: deb
URIs: http://other.example/node
Suites: nodistro
Components: main
`})
	want := `Types: deb
URIs: http://archive.example/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://archive.example/security
Suites: trixie-security
Components: main
`
	got, err := Sources(etc, "trixie")
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("sources =\n%s\nwant\n%s", got, want)
	}
}

func TestSourcesFromLines(t *testing.T) {
	etc := machine(t, map[string]string{"apt/sources.list": `# deb http://archive.example/debian bookworm main
deb [arch=amd64 signed-by=/keys/debian.gpg] http://archive.example/debian bookworm main contrib
deb-src http://archive.example/debian bookworm main
deb http://archive.example/security bookworm-security main
deb http://other.example/docker bookworm stable
`})
	got, err := Sources(etc, "trixie")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"URIs: http://archive.example/debian\nSuites: trixie\nComponents: main contrib\nSigned-By: /keys/debian.gpg\n",
		"URIs: http://archive.example/security\nSuites: trixie-security\nComponents: main\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("sources lack\n%s\nthey are\n%s", want, got)
		}
	}
	if strings.Contains(got, "other.example") {
		t.Errorf("another publisher's archive is among the sources:\n%s", got)
	}
}

func TestSourcesOfAMachineWithoutDebian(t *testing.T) {
	etc := machine(t, map[string]string{"apt/sources.list": "deb http://other.example/node nodistro main\n"})
	if _, err := Sources(etc, "trixie"); !errors.Is(err, ErrNoSources) {
		t.Errorf("error = %v, want %v", err, ErrNoSources)
	}
}
