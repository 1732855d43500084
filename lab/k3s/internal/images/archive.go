package images

import (
	"compress/bzip2"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Known says whether a file's name is one that k3s imports.
func Known(path string) bool {
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz", ".tar.lz4", ".txt"} {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}

// decompress opens an archive by its name, as k3s does. One goroutine: on two
// old cores the import runs beside the API server's start.
func decompress(path string, r io.Reader) (io.Reader, error) {
	has := func(suffixes ...string) bool {
		for _, s := range suffixes {
			if strings.HasSuffix(path, s) {
				return true
			}
		}
		return false
	}
	switch {
	case has(".tar.gz", ".tgz"):
		return gzip.NewReader(r)
	case has(".tar.zst", ".tzst"):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case has(".tar.bz2", ".tbz"):
		return bzip2.NewReader(r), nil
	case has(".tar.lz4"):
		return lz4.NewReader(r), nil
	}
	return r, nil
}
