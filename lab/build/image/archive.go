package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WriteArchive writes images as one tar that is both an OCI layout (which
// containerd reads: oci-layout, index.json) and what `docker image save`
// writes (manifest.json). Blobs come before the documents that name them, each
// once, in the order of their digests.
func WriteArchive(to io.Writer, images []Named) error {
	blobs, index, legacy, err := describe(images)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(to)
	for _, digest := range sortedKeys(blobs) {
		if err := copyBlob(archive, digest, blobs[digest]); err != nil {
			return fmt.Errorf("write blob %s: %w", digest, err)
		}
	}
	if err := writeJSON(archive, "index.json", index); err != nil {
		return err
	}
	if err := writeJSON(archive, "manifest.json", legacy); err != nil {
		return err
	}
	if err := writeJSON(archive, "oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}); err != nil {
		return err
	}
	return archive.Close()
}

// blob is something the archive holds under its digest.
type blob struct {
	size int64
	open func() (io.ReadCloser, error)
}

// dockerEntry is one image in manifest.json.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func describe(images []Named) (map[string]blob, *v1.IndexManifest, []dockerEntry, error) {
	blobs := map[string]blob{}
	index := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	var legacy []dockerEntry
	for _, named := range images {
		descriptor, entry, err := describeImage(blobs, named)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("describe %s: %w", named.Name, err)
		}
		index.Manifests = append(index.Manifests, descriptor)
		legacy = append(legacy, entry)
	}
	return blobs, index, legacy, nil
}

func describeImage(blobs map[string]blob, named Named) (v1.Descriptor, dockerEntry, error) {
	fail := func(err error) (v1.Descriptor, dockerEntry, error) { return v1.Descriptor{}, dockerEntry{}, err }
	manifest, err := named.Image.RawManifest()
	if err != nil {
		return fail(err)
	}
	config, err := named.Image.RawConfigFile()
	if err != nil {
		return fail(err)
	}
	digest, err := named.Image.Digest()
	if err != nil {
		return fail(err)
	}
	configDigest, err := named.Image.ConfigName()
	if err != nil {
		return fail(err)
	}
	layers, err := named.Image.Layers()
	if err != nil {
		return fail(err)
	}
	blobs[digest.Hex], blobs[configDigest.Hex] = bytesBlob(manifest), bytesBlob(config)
	entry := dockerEntry{Config: blobPath(configDigest.Hex), RepoTags: []string{named.Name}}
	for _, layer := range layers {
		hex, content, err := layerBlob(layer)
		if err != nil {
			return fail(err)
		}
		blobs[hex] = content
		entry.Layers = append(entry.Layers, blobPath(hex))
	}
	return v1.Descriptor{
		MediaType:   types.OCIManifestSchema1,
		Digest:      digest,
		Size:        int64(len(manifest)),
		Platform:    &v1.Platform{Architecture: "amd64", OS: "linux"},
		Annotations: nameAnnotations(named.Name),
	}, entry, nil
}

func layerBlob(layer v1.Layer) (hex string, content blob, err error) {
	digest, err := layer.Digest()
	if err != nil {
		return "", blob{}, err
	}
	size, err := layer.Size()
	if err != nil {
		return "", blob{}, err
	}
	return digest.Hex, blob{size: size, open: layer.Compressed}, nil
}

func bytesBlob(data []byte) blob {
	return blob{size: int64(len(data)), open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

func blobPath(hex string) string { return "blobs/sha256/" + hex }

func copyBlob(archive *tar.Writer, hex string, content blob) error {
	reader, err := content.open()
	if err != nil {
		return err
	}
	defer reader.Close()
	if err := archive.WriteHeader(archiveHeader(blobPath(hex), content.size)); err != nil {
		return err
	}
	_, err = io.Copy(archive, reader)
	return err
}

func writeJSON(archive *tar.Writer, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := archive.WriteHeader(archiveHeader(name, int64(len(data)))); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := archive.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func archiveHeader(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}
}

func sortedKeys(blobs map[string]blob) []string {
	keys := make([]string, 0, len(blobs))
	for key := range blobs {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
