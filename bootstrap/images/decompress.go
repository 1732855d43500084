package images

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// decompress reads what is in gzip, zstd or as it is, and closes f with it.
func decompress(f io.ReadCloser) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(f, 64<<10)
	// A file too short for the marks is not compressed; its reader says so.
	head, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return opened{z, func() error { return errors.Join(z.Close(), f.Close()) }}, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine: the scan must not take the computer for itself.
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return opened{z, func() error { z.Close(); return f.Close() }}, nil
	}
	return opened{buffered, f.Close}, nil
}

// opened is a reader with what closes it.
type opened struct {
	io.Reader
	close func() error
}

func (o opened) Close() error { return o.close() }
