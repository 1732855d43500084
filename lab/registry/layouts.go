package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
)

// layouts is a folder of OCI layouts. It is read anew for each question, which
// costs little and shows what has been built meanwhile.
type layouts string

// images lists what the repositories hold: tags and what they mean, by
// repository without its host, since a mirror serves the names of several.
func (l layouts) images() (map[string]map[string]v1.Descriptor, error) {
	found, err := filepath.Glob(filepath.Join(string(l), "*", "index.json"))
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]v1.Descriptor{}
	for _, path := range found {
		if err := addIndex(all, path); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	return all, nil
}

func addIndex(all map[string]map[string]v1.Descriptor, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(content, &index); err != nil {
		return err
	}
	for _, descriptor := range index.Manifests {
		repository, tag, err := splitName(descriptor.Annotations[image.NameAnnotation])
		if err != nil {
			return err
		}
		if all[repository] == nil {
			all[repository] = map[string]v1.Descriptor{}
		}
		all[repository][tag] = descriptor
	}
	return nil
}

func splitName(name string) (repository, tag string, err error) {
	_, path, hosted := strings.Cut(name, "/")
	at := strings.LastIndex(path, ":")
	if !hosted || at < 0 {
		return "", "", fmt.Errorf("%q is no full name of an image", name)
	}
	return path[:at], path[at+1:], nil
}

// blob opens a blob that one of the layouts has.
func (l layouts) blob(digest v1.Hash) (*os.File, error) {
	found, err := filepath.Glob(filepath.Join(string(l), "*", "blobs", digest.Algorithm, digest.Hex))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fs.ErrNotExist
	}
	return os.Open(found[0])
}

// manifest finds what a tag or a digest means in a repository.
func (l layouts) manifest(repository, reference string) (v1.Descriptor, error) {
	all, err := l.images()
	if err != nil {
		return v1.Descriptor{}, err
	}
	tags, known := all[repository]
	if !known {
		return v1.Descriptor{}, errNoRepository
	}
	if descriptor, tagged := tags[reference]; tagged {
		return descriptor, nil
	}
	for _, descriptor := range tags {
		if descriptor.Digest.String() == reference {
			return descriptor, nil
		}
	}
	return v1.Descriptor{}, errNoManifest
}

var (
	errNoRepository = errors.New("repository name not known to registry")
	errNoManifest   = errors.New("manifest unknown")
	errNoBlob       = errors.New("blob unknown to registry")
)
