package image

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// WriteLayout writes images as an OCI layout into the folder dir, each named in
// the index as WriteArchive names it.
func WriteLayout(dir string, images []Named) error {
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	for _, named := range images {
		err := path.AppendImage(named.Image,
			layout.WithPlatform(v1.Platform{Architecture: "amd64", OS: "linux"}),
			layout.WithAnnotations(nameAnnotations(named.Name)))
		if err != nil {
			return fmt.Errorf("write %s: %w", named.Name, err)
		}
	}
	return nil
}

// NameAnnotation is where an index keeps an image's full name; containerd's
// importer takes it from there unchanged.
const NameAnnotation = "io.containerd.image.name"

func nameAnnotations(name string) map[string]string {
	return map[string]string{
		NameAnnotation:                      name,
		"org.opencontainers.image.ref.name": name[strings.LastIndex(name, ":")+1:],
	}
}
