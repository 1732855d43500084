package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTailscaleIsPackedAsPublished(t *testing.T) {
	sources := t.TempDir()
	daemon := filepath.Join(sources, "program")
	for _, name := range []string{"program", "tailscale-online.target", "tailscale-wait-online.service", "tailscaled.defaults", "tailscaled.service"} {
		if err := os.WriteFile(filepath.Join(sources, name), []byte("this is "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	if err := packTailscale(&packed, "tailscale_1.2.3_amd64", daemon, sources); err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if program := !strings.Contains(header.Name, "/systemd/"); program != (header.Mode == 0o755) {
			t.Errorf("%s has mode %o", header.Name, header.Mode)
		}
		files[header.Name] = string(content)
	}
	for name, want := range map[string]string{
		"tailscale": "program", "tailscaled": "program", "systemd/tailscaled.service": "tailscaled.service",
		"systemd/tailscaled.defaults": "tailscaled.defaults", "systemd/tailscale-online.target": "tailscale-online.target",
		"systemd/tailscale-wait-online.service": "tailscale-wait-online.service",
	} {
		if got := files["tailscale_1.2.3_amd64/"+name]; got != "this is "+want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(files) != 6 {
		t.Errorf("%d files", len(files))
	}
}

// Another version of Tailscale has other features, which must be left out too.
func TestTailscaleHasTheFeaturesThatTheBoxNeeds(t *testing.T) {
	lab, err := findLab()
	if err != nil {
		t.Fatal(err)
	}
	p, version, err := (&builder{lab: lab}).tailscaleProgram()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := moduleVersion(filepath.Join(lab, "tailnet"), tailscaleModule)
	if err != nil || ours != "v"+version {
		t.Errorf("the box's Tailscale is %s, the tailnet's %s, %v", version, ours, err)
	}
	command := exec.CommandContext(t.Context(), "go", "run", tailscaleModule+"/cmd/featuretags", "--min", "--add="+strings.Join(tailscaleFeatures(), ","))
	command.Dir = filepath.Join(lab, tailscaleFolder)
	want, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSpace(string(want)), ","); !slices.Equal(got, p.tags) {
		t.Errorf("write these to %s/tags, one a line: %s", tailscaleFolder, want)
	}
}
