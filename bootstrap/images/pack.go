package images

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// parcel is an OCI layout in a tar file that has of one image only the layers
// that a box lacks. containerd reads the manifest from it and the other layers
// from its own store. The same image and the same layers make the same bytes,
// so that an upload which broke off in an earlier run is continued.
type parcel struct {
	path   string
	sha256 string
	size   int64
}

// remote is where a parcel lies on the box. The name tells which image it is
// of, and that other bytes are another parcel.
func (p parcel) remote(i *image) string { return path.Join(parcelDir, i.prefix()+p.sha256[:16]+".tar") }

func (i *image) prefix() string { return i.manifest.Digest.Hex[:16] + "-" }

// entry is one file of a parcel, in memory or a blob.
type entry struct {
	name string
	text []byte
	blob *v1.Descriptor
}

func (e entry) size() int64 {
	if e.blob != nil {
		return e.blob.Size
	}
	return int64(len(e.text))
}

// entries are in a fixed order, what containerd reads first before the rest.
func entries(i *image, layers []v1.Descriptor) ([]entry, error) {
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: i.manifest.MediaType, Digest: i.manifest.Digest, Size: i.manifest.Size,
			Platform:    &v1.Platform{OS: "linux", Architecture: "amd64"},
			Annotations: map[string]string{nameAnnotation: i.ref.name},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("write index: %w", err)
	}
	out := []entry{{name: "oci-layout", text: []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {name: "index.json", text: index}}
	for _, d := range append([]v1.Descriptor{i.manifest, i.config}, layers...) {
		out = append(out, entry{name: path.Join("blobs", d.Digest.Algorithm, d.Digest.Hex), blob: &d})
	}
	return out, nil
}

// parcelSize is what a parcel will have, to the byte: each entry has a header
// of a block and is filled up to the next, and two blocks are the end.
func parcelSize(i *image, layers []v1.Descriptor) (int64, error) {
	const block = 512
	files, err := entries(i, layers)
	n := int64(2 * block)
	for _, e := range files {
		n += block + (e.size()+block-1)/block*block
	}
	return n, err
}

// pack writes the parcel. Blobs that were let go since they were scanned are
// fetched again.
func (s *Set) pack(ctx context.Context, i *image, layers []v1.Descriptor) (p parcel, err error) {
	for _, d := range append([]v1.Descriptor{i.manifest, i.config}, layers...) {
		if err := s.fetch(ctx, i.ref, d, nil); err != nil {
			return p, err
		}
	}
	f, err := os.CreateTemp(filepath.Join(s.store.dir, "parcels"), "*.tar")
	if err != nil {
		return p, fmt.Errorf("pack %s: %w", i.ref.name, err)
	}
	p.path = f.Name()
	sum := sha256.New()
	err = s.write(ctx, io.MultiWriter(f, sum), i, layers)
	if err = errors.Join(err, f.Close()); err != nil {
		return p, errors.Join(fmt.Errorf("pack %s: %w", i.ref.name, err), os.Remove(p.path))
	}
	p.sha256 = hex.EncodeToString(sum.Sum(nil))
	p.size, err = parcelSize(i, layers)
	return p, err
}

func (s *Set) write(ctx context.Context, w io.Writer, i *image, layers []v1.Descriptor) error {
	files, err := entries(i, layers)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	for _, e := range files {
		// Neither time nor owner: the bytes must not tell when they were made.
		header := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: e.size(), Mode: 0o644, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if err := s.writeEntry(ctx, archive, e); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return archive.Close()
}

// writeEntry hashes blobs once more on their way: what was damaged on this
// computer's disk must not cost an hour on the link first.
func (s *Set) writeEntry(ctx context.Context, w io.Writer, e entry) error {
	if e.blob == nil {
		_, err := w.Write(e.text)
		return err
	}
	f, err := os.Open(s.store.blob(e.blob.Digest))
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), &reading{ctx: ctx, r: f}); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != e.blob.Digest.Hex {
		return errors.Join(digestError{e.blob.Digest, got}, os.Remove(f.Name()))
	}
	return nil
}
