package image

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func zipped(t *testing.T, name string, files ...File) *GzipLayer {
	t.Helper()
	dir := t.TempDir()
	plain, err := NewLayer(filepath.Join(dir, name), files)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := Gzip(plain, filepath.Join(dir, name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func TestLayoutHoldsCompressedLayersOnce(t *testing.T) {
	base := zipped(t, "base", File{Path: "/data", Mode: 0o644, Data: bytes.Repeat([]byte("base "), 10_000)})
	var images []Named
	for _, tag := range []string{"one", "two"} {
		img, err := New(v1.Config{Cmd: []string{tag}}, base, zipped(t, tag, File{Path: "/own", Mode: 0o755, Data: []byte(tag)}))
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, Named{Name: "ghcr.io/example/app:" + tag, Image: img})
	}
	dir := t.TempDir()
	if err := WriteLayout(dir, images); err != nil {
		t.Fatal(err)
	}
	// Two manifests, two configurations, and three layers of which one is shared.
	checkLayoutBlobs(t, filepath.Join(dir, "blobs", "sha256"), 7)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for i, descriptor := range manifest.Manifests {
		if descriptor.Annotations[NameAnnotation] != images[i].Name || descriptor.Platform.String() != "linux/amd64" {
			t.Errorf("image %d is %+v", i, descriptor)
		}
	}
}

func checkLayoutBlobs(t *testing.T, dir string, want int) {
	t.Helper()
	blobs, err := os.ReadDir(dir)
	if err != nil || len(blobs) != want {
		t.Errorf("%d blobs, %v; want %d", len(blobs), err, want)
	}
}

func TestGzipIsTheSameEachTimeAndSmaller(t *testing.T) {
	file := File{Path: "/data", Mode: 0o644, Data: bytes.Repeat([]byte("again "), 10_000), UID: 999, GID: 1000}
	first, second := zipped(t, "a", file), zipped(t, "b", file)
	if first.hash != second.hash {
		t.Errorf("the same files gave %s and %s", first.hash, second.hash)
	}
	if plain, err := first.plain.Size(); err != nil || first.size >= plain/10 {
		t.Errorf("%d bytes of %d, %v", first.size, plain, err)
	}
	if media, err := first.MediaType(); err != nil || media != types.OCILayer {
		t.Errorf("media type %s, %v", media, err)
	}
	other := file
	other.UID = 0
	if zipped(t, "c", other).hash == first.hash {
		t.Error("another owner gives the same layer")
	}
}
