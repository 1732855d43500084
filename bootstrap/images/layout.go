package images

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// The annotations under which tools keep an image's name: containerd's is
// whole, the standard's may be a tag alone.
const (
	nameAnnotation = "io.containerd.image.name"
	refAnnotation  = "org.opencontainers.image.ref.name"
)

// folder is an OCI image layout.
type folder struct {
	path     layout.Path
	named    map[string]v1.Descriptor
	order    []reference
	nameless []v1.Descriptor
}

func openLayout(path string) (source, error) {
	f := folder{named: map[string]v1.Descriptor{}}
	var err error
	if f.path, err = layout.FromPath(path); err != nil {
		return nil, notAnImageSource("OCI layout", path, err)
	}
	index, err := f.path.ImageIndex()
	if err != nil {
		return nil, notAnImageSource("OCI layout", path, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, notAnImageSource("OCI layout", path, err)
	}
	for _, d := range manifest.Manifests {
		f.add(d)
	}
	return f, nil
}

func (f *folder) add(d v1.Descriptor) {
	text := d.Annotations[nameAnnotation]
	// A tag alone does not say whose tag it is.
	if ref := d.Annotations[refAnnotation]; text == "" && strings.ContainsAny(ref, "/:@") {
		text = ref
	}
	r, err := parseReference(text)
	if err != nil {
		f.nameless = append(f.nameless, d)
		return
	}
	f.named[r.name] = d
	f.order = append(f.order, r)
}

func (f folder) names() ([]reference, error) {
	if len(f.order) == 0 {
		return nil, fault.New(fault.Usage, "say with --image what it is to be called", "the images in %s have no names", f.path)
	}
	return f.order, nil
}

func (f folder) find(_ context.Context, r reference) (v1.Descriptor, error) {
	return chosen(string(f.path), r, f.named, f.nameless)
}

func (f folder) open(_ context.Context, r reference, d v1.Descriptor) (io.ReadCloser, error) {
	blob, err := f.path.Blob(d.Digest)
	if err != nil {
		return nil, &fault.Error{
			Code: fault.DigestMismatch, Op: "read " + r.name + " from " + string(f.path), Err: err,
			Next: "the folder is not whole: make it again, for instance with `skopeo copy docker://IMAGE oci:FOLDER`",
		}
	}
	return blob, nil
}

func bytesReader(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

func notAnImageSource(kind, path string, err error) error {
	return &fault.Error{
		Code: fault.Usage, Op: fmt.Sprintf("open %s %s", kind, path), Err: err,
		Next: "check the path given with --from; oci: wants a folder with oci-layout and index.json, docker-archive: a file written by `docker save`",
	}
}
