package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPinsOfAnotherBuildAreDropped(t *testing.T) {
	const version = "v1.36.4+k3s1"
	old, fresh := strings.Repeat("a", 64), strings.Repeat("b", 64)
	mirror := t.TempDir()
	release := filepath.Join(mirror, "k3s-io", "k3s", "releases", "download", version)
	if err := os.MkdirAll(release, 0o755); err != nil {
		t.Fatal(err)
	}
	sums := fmt.Sprintf("%s  k3s\n%s  k3s-airgap-images-amd64.tar.zst\n", fresh, old)
	if err := os.WriteFile(filepath.Join(release, "sha256sum-amd64.txt"), []byte(sums), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		version, file, digest string
		kept                  bool
	}{
		"of another build":      {version, "k3s", old, false},
		"of this build":         {version, "k3s", fresh, true},
		"another file":          {version, "k3s-airgap-images-amd64.tar.zst", old, true},
		"of another release":    {"v1.35.1+k3s1", "k3s", old, true},
		"of a file not offered": {version, "k3s-arm64", old, true},
	} {
		path := filepath.Join(t.TempDir(), lockFile)
		text := fmt.Sprintf("# Written by ssg-bootstrap\nartifacts:\n  k3s/%s/%s:\n    sha256: %q\n    size: 7\n", c.version, c.file, c.digest)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := dropStalePins(path, mirror); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); (err == nil) != c.kept {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dropStalePins(filepath.Join(t.TempDir(), lockFile), mirror); err != nil {
		t.Errorf("without a lock file: %v", err)
	}
}
