package image

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// GzipLayer is a layer as registries keep them: compressed one by one, so that
// whoever has a layer already need not fetch it inside of something else.
type GzipLayer struct {
	plain *Layer
	path  string
	hash  v1.Hash
	size  int64
}

// Gzip writes the layer compressed to path. The compressor is the standard
// library's and nothing of the machine goes into its header, so that the digest
// hangs only on the files and on the version of Go.
func Gzip(plain *Layer, path string) (*GzipLayer, error) {
	source, err := plain.Uncompressed()
	if err != nil {
		return nil, fmt.Errorf("compress layer: %w", err)
	}
	defer source.Close()
	out, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("compress layer: %w", err)
	}
	hash := sha256.New()
	counter := &countingWriter{to: io.MultiWriter(out, hash)}
	compressor := gzip.NewWriter(counter)
	_, err = io.Copy(compressor, source)
	if err := errors.Join(err, compressor.Close(), out.Close()); err != nil {
		return nil, fmt.Errorf("compress layer %s: %w", path, err)
	}
	sum := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))}
	return &GzipLayer{plain: plain, path: path, hash: sum, size: counter.n}, nil
}

// Digest of the layer as it is stored and sent.
func (l *GzipLayer) Digest() (v1.Hash, error) { return l.hash, nil }

// DiffID is the digest of the layer's tar.
func (l *GzipLayer) DiffID() (v1.Hash, error) { return l.plain.DiffID() }

// Compressed opens the layer as it is stored.
func (l *GzipLayer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Uncompressed opens the layer's tar.
func (l *GzipLayer) Uncompressed() (io.ReadCloser, error) { return l.plain.Uncompressed() }

// Size of the layer as it is stored.
func (l *GzipLayer) Size() (int64, error) { return l.size, nil }

// MediaType says how the layer is compressed.
func (l *GzipLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
