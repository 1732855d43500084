package k3stest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Release is a k3s release on this computer, as small as a test wants it.
type Release struct {
	Version string
	dir     string
}

// NewRelease writes the release's files.
func NewRelease(t testing.TB, version string) Release {
	t.Helper()
	r := Release{Version: version, dir: t.TempDir()}
	for _, name := range []string{"k3s", "k3s-airgap-images-amd64.tar.zst"} {
		content := fmt.Sprintf("%s %s %s", name, version, strings.Repeat("x", 40<<10))
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// Resolve finds a file of the release.
func (r Release) Resolve(_ context.Context, ref artifact.Ref) (artifact.Artifact, error) {
	data, err := os.ReadFile(filepath.Join(r.dir, ref.File))
	if err != nil {
		return artifact.Artifact{}, err
	}
	sum := sha256.Sum256(data)
	ref.Version = r.Version
	return artifact.Artifact{Ref: ref, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}, nil
}

// Fetch returns where the file lies.
func (r Release) Fetch(_ context.Context, a artifact.Artifact, p host.Progress) (string, error) {
	p(a.Size, a.Size)
	return filepath.Join(r.dir, a.File), nil
}
