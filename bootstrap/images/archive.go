package images

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// archive is a file as `docker save` writes it, compressed or not. Its layers
// are compressed on the way out, always to the same bytes.
type archive struct {
	path     string
	opener   tarball.Opener
	named    map[string]v1.Image
	order    []reference
	nameless []v1.Image
}

func openArchive(path string) (source, error) {
	a := archive{path: path, named: map[string]v1.Image{}}
	a.opener = func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		return decompress(f)
	}
	manifest, err := tarball.LoadManifest(a.opener)
	if err != nil {
		return nil, notAnImageSource("docker archive", path, err)
	}
	for _, d := range manifest {
		if err := a.add(d.RepoTags); err != nil {
			return nil, notAnImageSource("docker archive", path, err)
		}
	}
	return a, nil
}

// add takes the image with these tags, or the only one, which has none.
func (a *archive) add(tags []string) error {
	if len(tags) == 0 {
		img, err := tarball.Image(a.opener, nil)
		if err == nil {
			a.nameless = append(a.nameless, img)
		}
		return err
	}
	for _, text := range tags {
		tag, err := name.NewTag(text)
		if err != nil {
			return err
		}
		r, err := parseReference(text)
		if err != nil {
			return err
		}
		if a.named[r.name], err = tarball.Image(a.opener, &tag); err != nil {
			return err
		}
		a.order = append(a.order, r)
	}
	return nil
}

func (a archive) names() ([]reference, error) {
	if len(a.order) == 0 {
		return nil, fault.New(fault.Usage, "say with --image what it is to be called", "the image in %s has no name", a.path)
	}
	return a.order, nil
}

func (a archive) image(r reference) (v1.Image, error) { return chosen(a.path, r, a.named, a.nameless) }

func (a archive) find(_ context.Context, r reference) (v1.Descriptor, error) {
	img, err := a.image(r)
	if err != nil {
		return v1.Descriptor{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return v1.Descriptor{}, a.damaged(r, err)
	}
	kind, err := img.MediaType()
	if err != nil {
		return v1.Descriptor{}, a.damaged(r, err)
	}
	return v1.Descriptor{MediaType: kind, Digest: digest}, nil
}

func (a archive) open(_ context.Context, r reference, d v1.Descriptor) (io.ReadCloser, error) {
	img, err := a.image(r)
	if err != nil {
		return nil, err
	}
	if isManifest(d) {
		return a.whole(r, img.RawManifest)
	}
	if d.MediaType.IsConfig() {
		return a.whole(r, img.RawConfigFile)
	}
	layer, err := img.LayerByDigest(d.Digest)
	if err != nil {
		return nil, a.damaged(r, err)
	}
	body, err := layer.Compressed()
	if err != nil {
		return nil, a.damaged(r, err)
	}
	return body, nil
}

func (a archive) whole(r reference, read func() ([]byte, error)) (io.ReadCloser, error) {
	text, err := read()
	if err != nil {
		return nil, a.damaged(r, err)
	}
	return bytesReader(text), nil
}

func (a archive) damaged(r reference, err error) error {
	return &fault.Error{
		Code: fault.DigestMismatch, Op: fmt.Sprintf("read %s from %s", r.name, a.path), Err: err,
		Next: "the archive is not whole: make it again with `docker save`",
	}
}
