package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one entry of a layer. What it holds is the first of Link, Source and
// Data that is set; an entry whose Mode has os.ModeDir is a folder.
type File struct {
	Path   string // absolute, inside the image
	Mode   os.FileMode
	Link   string
	Source string // a file on this machine
	Data   []byte
	// Capability is the raw security.capability attribute, for a program that
	// must open a low port without being root.
	Capability []byte
	// UID and GID own the entry; root does unless they say otherwise.
	UID, GID int
}

// Layer is an uncompressed layer kept in a file. Layers stay uncompressed
// because the archive around them is compressed as a whole: the box then
// decompresses once, and the digest of a layer does not hang on a compressor.
type Layer struct {
	path string
	hash v1.Hash
	size int64
}

// NewLayer writes files as a tar at path. Order, owners and times are fixed,
// so that the same files give the same digest on any day and machine.
func NewLayer(path string, files []File) (*Layer, error) {
	out, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	hash := sha256.New()
	counter := &countingWriter{to: io.MultiWriter(out, hash)}
	err = writeLayer(counter, files)
	if err := errors.Join(err, out.Close()); err != nil {
		return nil, fmt.Errorf("write layer %s: %w", path, err)
	}
	return &Layer{path: path, size: counter.n, hash: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))}}, nil
}

func writeLayer(to io.Writer, files []File) error {
	archive := tar.NewWriter(to)
	for _, file := range withFolders(files) {
		if err := writeEntry(archive, file); err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
	}
	return archive.Close()
}

func writeEntry(archive *tar.Writer, file File) error {
	header := &tar.Header{
		Name:    strings.TrimPrefix(path.Clean(file.Path), "/"),
		Mode:    int64(file.Mode.Perm()),
		Uid:     file.UID,
		Gid:     file.GID,
		ModTime: time.Unix(0, 0),
		Format:  tar.FormatPAX,
	}
	if file.Mode&os.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	if file.Capability != nil {
		header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(file.Capability)}
	}
	switch {
	case file.Mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		return archive.WriteHeader(header)
	case file.Link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, file.Link, 0o777
		return archive.WriteHeader(header)
	}
	content, size, err := file.open()
	if err != nil {
		return err
	}
	defer content.Close()
	header.Typeflag, header.Size = tar.TypeReg, size
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, content)
	return err
}

func (f File) open() (io.ReadCloser, int64, error) {
	if f.Source == "" {
		return io.NopCloser(bytes.NewReader(f.Data)), int64(len(f.Data)), nil
	}
	file, err := os.Open(f.Source)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// withFolders sorts files and adds the folders that they lie in: an unpacker
// would otherwise make them with a mode of its own choice.
func withFolders(files []File) []File {
	byPath := map[string]File{}
	for _, file := range files {
		for dir := path.Dir(path.Clean(file.Path)); dir != "/"; dir = path.Dir(dir) {
			if _, known := byPath[dir]; !known {
				byPath[dir] = File{Path: dir, Mode: os.ModeDir | 0o755}
			}
		}
	}
	for _, file := range files {
		byPath[path.Clean(file.Path)] = file
	}
	all := make([]File, 0, len(byPath))
	for _, file := range byPath {
		all = append(all, file)
	}
	sort.Slice(all, func(i, j int) bool { return path.Clean(all[i].Path) < path.Clean(all[j].Path) })
	return all
}

// Digest of the layer as it is stored, which for an uncompressed one is also its DiffID.
func (l *Layer) Digest() (v1.Hash, error) { return l.hash, nil }

// DiffID is the digest of the layer's tar.
func (l *Layer) DiffID() (v1.Hash, error) { return l.hash, nil }

// Compressed opens the layer as it is stored.
func (l *Layer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Uncompressed opens the layer's tar.
func (l *Layer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Size of the layer as it is stored.
func (l *Layer) Size() (int64, error) { return l.size, nil }

// MediaType says that the layer is not compressed.
func (l *Layer) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }

type countingWriter struct {
	to io.Writer
	n  int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
