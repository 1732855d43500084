package images

import (
	"context"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// source is where images come from.
type source interface {
	// names are the images of a source that is asked for all it has.
	names() ([]reference, error)
	// find says which manifest, or index of manifests, a reference means now.
	find(ctx context.Context, r reference) (v1.Descriptor, error)
	// open reads a manifest, a configuration or a layer as it is stored.
	open(ctx context.Context, r reference, d v1.Descriptor) (io.ReadCloser, error)
}

func openSource(o Options) (source, error) {
	kind, path, _ := strings.Cut(o.From, ":")
	switch {
	case o.From == "" && (len(o.Refs) > 0 || o.Choose != nil):
		return newRegistry(o)
	case o.From == "":
		return nil, fault.New(fault.Usage, "name them with --image, or bring a whole folder with --from oci:FOLDER", "which images?")
	case kind == "oci" && path != "":
		return openLayout(path)
	case kind == "docker-archive" && path != "":
		return openArchive(path)
	}
	return nil, fault.New(fault.Usage, "use --from oci:FOLDER or --from docker-archive:FILE; without --from images come from their registries",
		"%q is neither a folder nor an archive of images", o.From)
}

// chosen finds the one image that a reference means among those of a folder or
// an archive. Where there is only one without a name, that one is meant.
func chosen[T any](from string, r reference, named map[string]T, nameless []T) (T, error) {
	if found, ok := named[r.name]; ok {
		return found, nil
	}
	if len(named) == 0 && len(nameless) == 1 {
		return nameless[0], nil
	}
	var none T
	has := make([]string, 0, len(named))
	for n := range named {
		has = append(has, n)
	}
	return none, unknownImage(r, fmt.Errorf("%s has no such image", from), has)
}
