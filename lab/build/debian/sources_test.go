package debian

import (
	"errors"
	"os"
	"os/exec"
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

// TestSourcesOfARelativeOfDebian: Ubuntu's archive has a main as well, and no
// suite of Debian's.
func TestSourcesOfARelativeOfDebian(t *testing.T) {
	etc := machine(t, map[string]string{"apt/sources.list.d/ubuntu.sources": "Types: deb\nURIs: http://archive.example/ubuntu\nSuites: noble noble-updates\nComponents: main universe\n"})
	write(t, filepath.Join(etc, "os-release"), "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n")
	if got, err := Sources(etc, "trixie"); !errors.Is(err, ErrNoSources) {
		t.Errorf("got %q, %v", got, err)
	}
}

// tool puts a program of the name at the head of PATH.
func tool(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, name), "#!/bin/sh\n"+script)
	if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestElsewhereMmdebstrapKnowsTheArchive stands in for mmdebstrap up to its
// first hook, which it runs with the tree that it begins.
func TestElsewhereMmdebstrapKnowsTheArchive(t *testing.T) {
	etc := machine(t, map[string]string{})
	write(t, filepath.Join(etc, "os-release"), "ID=ubuntu\nVERSION_CODENAME=noble\n")
	tool(t, "mmdebstrap", `
for word; do
  case $word in --setup-hook=*) hook=${word#*=} ;; esac
  before=${last-} last=$word
done
mkdir -p "$last/etc/apt"
printf 'deb http://archive.example/debian %s main\ndeb [signed-by="/keys/a.gpg"] http://archive.example/security %s-security main\n' "$before" "$before" >"$last/etc/apt/sources.list"
sh -c "$hook" exec "$last"
`)
	got, err := Find(t.Context(), etc, "trixie")
	want := `Types: deb
URIs: http://archive.example/debian
Suites: trixie
Components: main
Signed-By: ` + Keyring + `

Types: deb
URIs: http://archive.example/security
Suites: trixie-security
Components: main
Signed-By: /keys/a.gpg
`
	if err != nil || got != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, got, want)
	}
}

func TestAnMmdebstrapThatTellsNothingIsQuoted(t *testing.T) {
	etc := machine(t, map[string]string{})
	tool(t, "mmdebstrap", "echo 'E: no such suite' >&2; exit 25\n")
	if _, err := Find(t.Context(), etc, "trixie"); !errors.Is(err, ErrNoSources) || !strings.Contains(err.Error(), "E: no such suite") {
		t.Errorf("got %v", err)
	}
}

// TestTheRealMmdebstrapTells is of the one that is installed here.
func TestTheRealMmdebstrapTells(t *testing.T) {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("mmdebstrap is not installed here")
	}
	got, err := ask(t.Context(), "trixie")
	if err != nil || !strings.Contains(got, "\nSuites: trixie\n") || !strings.Contains(got, "\nSuites: trixie-security\n") || strings.Count(got, "Signed-By: ") != strings.Count(got, "URIs: ") {
		t.Errorf("got %v\n%s", err, got)
	}
}
