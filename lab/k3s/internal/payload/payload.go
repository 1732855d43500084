// Package payload keeps one promise: the single file named k3s carries
// everything it needs, and either all of it arrives on the disk or none.
//
// The file is [launcher ELF][tar.zst][sha256 of tar.zst][its length][magic].
// The digest stands in the trailer because a release file of 150 MB takes
// seconds to hash on the machines this is for, and `kubectl` runs through the
// same launcher: the name of the unpacked folder must be known without reading
// the archive. Unpacking checks the digest.
package payload

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	magic       = "K3SLABv1"
	trailerSize = sha256.Size + 8 + len(magic)
)

// ErrIncomplete says that a file does not end with a whole payload: a download
// that stopped early, or a launcher that was never packed.
var ErrIncomplete = errors.New("file ends without a whole payload: download it again")

// ErrCorrupt says that the archive's bytes are not those that were packed.
var ErrCorrupt = errors.New("payload does not match its checksum: download it again")

// Archive is the payload of one file.
type Archive struct {
	Digest [sha256.Size]byte
	start  int64
	size   int64
	file   *os.File
}

// Open finds the payload at the end of the file.
func Open(path string) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	a, err := locate(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return a, nil
}

func locate(f *os.File) (*Archive, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	end := info.Size() - int64(trailerSize)
	if end < 0 {
		return nil, ErrIncomplete
	}
	trailer := make([]byte, trailerSize)
	if _, err := f.ReadAt(trailer, end); err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(trailer, []byte(magic)) {
		return nil, ErrIncomplete
	}
	size := int64(binary.LittleEndian.Uint64(trailer[sha256.Size:]))
	if size <= 0 || size > end {
		return nil, ErrIncomplete
	}
	a := &Archive{file: f, start: end - size, size: size}
	copy(a.Digest[:], trailer)
	return a, nil
}

// Name is the folder that the payload unpacks into.
func (a *Archive) Name() string { return hex.EncodeToString(a.Digest[:]) }

// Reader reads the compressed archive from its beginning.
func (a *Archive) Reader() io.Reader { return io.NewSectionReader(a.file, a.start, a.size) }

// Close releases the file.
func (a *Archive) Close() error { return a.file.Close() }

// WriteTrailer ends a file whose archive had this digest and length.
func WriteTrailer(w io.Writer, digest []byte, size int64) error {
	t := append([]byte{}, digest...)
	t = binary.LittleEndian.AppendUint64(t, uint64(size))
	_, err := w.Write(append(t, magic...))
	return err
}
