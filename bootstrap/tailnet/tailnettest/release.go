package tailnettest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Program is the beginning of a file that is a program for amd64, and a text
// that tells it from others.
func Program(text string) []byte {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[18] = 62
	return append(head, text...)
}

// Member is one member of a tarball: a file, or a link where Link says where to.
type Member struct {
	Name string
	Body []byte
	Link string
	Kind byte
}

// Tarball packs members.
func Tarball(members ...Member) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, m := range members {
		h := &tar.Header{Name: m.Name, Mode: 0o755, Size: int64(len(m.Body)), Typeflag: m.Kind, Linkname: m.Link}
		if m.Kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := w.Write(m.Body); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// Release is a Tailscale release on this computer.
type Release struct {
	Version string
	file    string
	content []byte
}

// NewRelease packs a release as Tailscale does, or with combined as one program
// and a link to it.
func NewRelease(t testing.TB, version string, combined bool) *Release {
	t.Helper()
	folder := "tailscale_" + version + "_amd64/"
	members := []Member{
		{Name: folder, Kind: tar.TypeDir},
		{Name: folder + "tailscaled", Body: Program("tailscaled " + version)},
		{Name: folder + "tailscale", Body: Program("tailscale " + version)},
		{Name: folder + "systemd/tailscaled.service", Body: []byte("[Service]\n")},
	}
	if combined {
		members[2] = Member{Name: folder + "tailscale", Link: "tailscaled", Kind: tar.TypeSymlink}
	}
	return NewReleaseOf(t, version, Tarball(members...))
}

// NewReleaseOf is a release with a tarball of its own.
func NewReleaseOf(t testing.TB, version string, tarball []byte) *Release {
	t.Helper()
	r := &Release{Version: version, content: tarball, file: filepath.Join(t.TempDir(), artifact.TailscaleTarball(version))}
	if err := os.WriteFile(r.file, tarball, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// Content is the tarball.
func (r *Release) Content() []byte { return r.content }

// Release is the one that every version and channel stands for.
func (r *Release) Release(context.Context, string, string) (string, error) { return r.Version, nil }

// Resolve finds the tarball.
func (r *Release) Resolve(_ context.Context, ref artifact.Ref) (artifact.Artifact, error) {
	sum := sha256.Sum256(r.content)
	return artifact.Artifact{Ref: ref, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(r.content))}, nil
}

// Fetch returns where it lies.
func (r *Release) Fetch(_ context.Context, a artifact.Artifact, p host.Progress) (string, error) {
	p(a.Size, a.Size)
	return r.file, nil
}
