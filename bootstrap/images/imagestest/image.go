package imagestest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Files are a layer's files by name.
type Files map[string]string

// Noise is content that does not compress, always the same for a seed.
func Noise(seed uint64, size int) string {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b)
	return string(b)
}

// Image makes an image for linux/amd64 of layers, the lowest first.
func Image(layers ...Files) (v1.Image, error) {
	img := v1.Image(empty.Image)
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}})
	for _, files := range layers {
		if err != nil {
			return nil, err
		}
		var l v1.Layer
		if l, err = layer(files); err == nil {
			img, err = mutate.AppendLayers(img, l)
		}
	}
	return img, err
}

func layer(files Files) (v1.Layer, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	for _, n := range sorted(files) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: n, Size: int64(len(files[n])), Mode: 0o755}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, files[n]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
}

// Registry is a registry in this process that takes and serves images.
type Registry struct {
	*httptest.Server
}

// Serve starts a registry.
func Serve() Registry {
	return Registry{httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))}
}

// Ref is the name of an image in the registry.
func (r Registry) Ref(rest string) string { return strings.TrimPrefix(r.URL, "http://") + "/" + rest }

// Push puts an image, or an index of them, into the registry.
func (r Registry) Push(t testing.TB, rest string, what remote.Taggable) {
	t.Helper()
	if err := r.Put(rest, what); err != nil {
		t.Fatal(err)
	}
}

// Put is Push where no test is at hand.
func (r Registry) Put(rest string, what remote.Taggable) error {
	ref, err := name.ParseReference(r.Ref(rest), name.Insecure)
	if err != nil {
		return err
	}
	switch v := what.(type) {
	case v1.ImageIndex:
		return remote.WriteIndex(ref, v)
	case v1.Image:
		return remote.Write(ref, v)
	}
	return fmt.Errorf("push %T", what)
}

func sorted(f Files) []string { return slices.Sorted(maps.Keys(f)) }
