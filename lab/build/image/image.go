// Package image writes container images from files, without a container
// engine. It promises that the same files give the same digests, and that the
// archive of several images is one that `ctr images import` and k3s's image
// folder take as it is.
package image

import (
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Named is an image and the full name it is to have in the box's store.
type Named struct {
	Name  string
	Image v1.Image
}

// New makes a linux/amd64 image of layers, the lowest first.
func New(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	configured, err := mutate.ConfigFile(base, &v1.ConfigFile{
		Architecture: "amd64",
		OS:           "linux",
		Created:      v1.Time{Time: time.Unix(0, 0).UTC()},
		RootFS:       v1.RootFS{Type: "layers"},
		Config:       config,
	})
	if err != nil {
		return nil, fmt.Errorf("configure image: %w", err)
	}
	adds := make([]mutate.Addendum, 0, len(layers))
	for _, layer := range layers {
		media, err := layer.MediaType()
		if err != nil {
			return nil, fmt.Errorf("stack layers: %w", err)
		}
		adds = append(adds, mutate.Addendum{
			Layer:     layer,
			MediaType: media,
			History:   v1.History{Created: v1.Time{Time: time.Unix(0, 0).UTC()}, CreatedBy: "ssg-bootstrap lab"},
		})
	}
	image, err := mutate.Append(configured, adds...)
	if err != nil {
		return nil, fmt.Errorf("stack layers: %w", err)
	}
	return image, nil
}
