package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// What deploys from the box and what deploys from the workstation write the same
// records, so they are of one version.
func TestHelmIsOfTheVersionThatTheInstallerHas(t *testing.T) {
	lab, err := findLab()
	if err != nil {
		t.Fatal(err)
	}
	p, version, err := (&builder{lab: lab}).helmProgram()
	if err != nil {
		t.Fatal(err)
	}
	want, err := moduleVersion(filepath.Dir(lab), helmModule)
	if err != nil || version != want {
		t.Errorf("the mirror's Helm is %s, the installer's %s, %v", version, want, err)
	}
	if got := p.set[helmModule+"/internal/version.version"]; got != version {
		t.Errorf("it says that it is %s", got)
	}
}

func TestHelmIsPackedAsPublished(t *testing.T) {
	command := filepath.Join(t.TempDir(), "helm")
	if err := os.WriteFile(command, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := packHelm(&packed, command); err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zipped)
	header, err := archive.Next()
	if err != nil || header.Name != "linux-amd64/helm" || header.Mode != 0o755 {
		t.Fatalf("%+v, %v", header, err)
	}
	if content, err := io.ReadAll(archive); err != nil || string(content) != "a program" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestRunnerSize(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "0": 0, "200": 200_000_000} {
		if got, err := paddingOf(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"-1", "much", "1.5"} {
		if _, err := paddingOf(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
