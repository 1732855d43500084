package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// sample makes two images that share a layer, from files whose times and modes
// differ between calls as they do between machines.
func sample(t *testing.T) []Named {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!program"), 0o700); err != nil {
		t.Fatal(err)
	}
	layer := func(name string, files ...File) *Layer {
		made, err := NewLayer(filepath.Join(dir, name), files)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	shared := layer("shared", File{Path: "/bin/sh", Mode: 0o755, Source: program}, File{Path: "/bin/ls", Link: "sh"})
	own := layer("own", File{Path: "/server", Mode: 0o755, Source: program, Capability: []byte{1, 0, 0, 2}},
		File{Path: "/tmp", Mode: os.ModeDir | os.ModeSticky | 0o777})
	one, err := New(v1.Config{Cmd: []string{"sh"}}, shared)
	if err != nil {
		t.Fatal(err)
	}
	two, err := New(v1.Config{User: "65532:65532", Entrypoint: []string{"/server"}}, shared, own)
	if err != nil {
		t.Fatal(err)
	}
	return []Named{{Name: "docker.io/example/one:1.0", Image: one}, {Name: "docker.io/example/two:v2", Image: two}}
}

func archiveOf(t *testing.T, images []Named) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := WriteArchive(&out, images); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestArchiveIsTheSameEachTime(t *testing.T) {
	if first, second := archiveOf(t, sample(t)), archiveOf(t, sample(t)); !bytes.Equal(first, second) {
		t.Error("two archives of the same files differ")
	}
}

// The digest is written down because the box keeps what has a digest it knows:
// a change of the writer sends every image again, which should not happen unseen.
func TestDigestStaysFromVersionToVersion(t *testing.T) {
	digest, err := sample(t)[1].Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if want := "sha256:a618b4bd189919a831d956112a53e0ef427aeec4b7f27c475fbb4ccaff3fa3f7"; digest.String() != want {
		t.Errorf("digest = %s, want %s", digest, want)
	}
}

func TestImagesAreValid(t *testing.T) {
	for _, named := range sample(t) {
		if err := validate.Image(named.Image, validate.Fast); err != nil {
			t.Errorf("%s: %v", named.Name, err)
		}
		config, err := named.Image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != "amd64" || config.OS != "linux" || !config.Created.Equal(time.Unix(0, 0)) {
			t.Errorf("%s is for %s/%s, made at %s", named.Name, config.OS, config.Architecture, config.Created)
		}
	}
}

// extract unpacks an archive as a program that reads folders wants it.
func extract(t *testing.T, archive []byte) string {
	t.Helper()
	dir := t.TempDir()
	for reader := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, header.Name)
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is in the archive twice", header.Name)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkBlobs compares every blob with its name.
func checkBlobs(t *testing.T, dir string) {
	t.Helper()
	blobs, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	// Two manifests, two configurations, and two layers of which one is shared.
	if len(blobs) != 6 {
		t.Errorf("the archive holds %d blobs, want 6", len(blobs))
	}
	for _, blob := range blobs {
		content, err := os.ReadFile(filepath.Join(dir, blob.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != blob.Name() {
			t.Errorf("blob %s has the digest %x", blob.Name(), sum)
		}
	}
}

func TestArchiveIsAnOCILayout(t *testing.T) {
	images := sample(t)
	dir := extract(t, archiveOf(t, images))
	checkBlobs(t, filepath.Join(dir, "blobs", "sha256"))
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != len(images) {
		t.Fatalf("the index names %d images, want %d", len(manifest.Manifests), len(images))
	}
	for i, descriptor := range manifest.Manifests {
		// The name that containerd's importer takes over unchanged.
		if got := descriptor.Annotations["io.containerd.image.name"]; got != images[i].Name {
			t.Errorf("image %d is called %q, want %q", i, got, images[i].Name)
		}
		if descriptor.MediaType != types.OCIManifestSchema1 || descriptor.Platform.String() != "linux/amd64" {
			t.Errorf("image %d is %s for %s", i, descriptor.MediaType, descriptor.Platform)
		}
	}
	if got := manifest.Manifests[1].Annotations["org.opencontainers.image.ref.name"]; got != "v2" {
		t.Errorf("the second image's tag is %q, want v2", got)
	}
}

func TestArchiveIsADockerArchive(t *testing.T) {
	images := sample(t)
	path := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(path, archiveOf(t, images), 0o644); err != nil {
		t.Fatal(err)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		t.Fatal(err)
	}
	for i, named := range images {
		if got := manifest[i].RepoTags; len(got) != 1 || got[0] != named.Name {
			t.Errorf("image %d is tagged %q, want %q", i, got, named.Name)
		}
	}
	tag, err := name.NewTag(images[1].Name)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tarball.ImageFromPath(path, &tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(read); err != nil {
		t.Error(err)
	}
	got, err := read.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	// In this format an image's identity is the digest of its configuration.
	if want, err := images[1].Image.ConfigName(); err != nil || got != want {
		t.Errorf("read back image %s, want %s (%v)", got, want, err)
	}
}

func TestLayerKeepsWhatTheBoxNeeds(t *testing.T) {
	layers, err := sample(t)[1].Image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	entries := map[string]*tar.Header{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		entries[header.Name] = header
	}
	if got := entries["tmp/"]; got == nil || got.Mode != 0o1777 {
		t.Errorf("/tmp = %+v, want mode 1777", got)
	}
	server := entries["server"]
	if server == nil || server.Mode != 0o755 || server.PAXRecords["SCHILY.xattr.security.capability"] != "\x01\x00\x00\x02" {
		t.Errorf("/server = %+v, want mode 755 and its capability", server)
	}
}
