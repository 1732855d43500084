package payload

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"sort"

	"github.com/klauspost/compress/zstd"
)

// Entry is one file or symbolic link of the payload.
type Entry struct {
	Name   string // path inside the payload
	Source string // file to read, for a file
	Link   string // target, for a symbolic link
}

// Pack writes launcher and entries as one file. The same input gives the same
// bytes: entries are sorted, and owners and times are left out.
func Pack(out io.Writer, launcher string, entries []Entry) error {
	if err := copyFile(out, launcher); err != nil {
		return err
	}
	sum := &counter{hash: sha256.New()}
	// One goroutine, so that block boundaries do not depend on the machine.
	z, err := zstd.NewWriter(io.MultiWriter(out, sum),
		zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return fmt.Errorf("start compressor: %w", err)
	}
	if err := writeTar(z, entries); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	return WriteTrailer(out, sum.hash.Sum(nil), sum.n)
}

func writeTar(w io.Writer, entries []Entry) error {
	t := tar.NewWriter(w)
	sorted := append([]Entry{}, entries...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	dirs := map[string]bool{".": true}
	for _, e := range sorted {
		if err := writeParents(t, path.Dir(e.Name), dirs); err != nil {
			return err
		}
		if err := writeEntry(t, e); err != nil {
			return fmt.Errorf("add %s: %w", e.Name, err)
		}
	}
	return t.Close()
}

func writeParents(t *tar.Writer, dir string, done map[string]bool) error {
	if done[dir] {
		return nil
	}
	if err := writeParents(t, path.Dir(dir), done); err != nil {
		return err
	}
	done[dir] = true
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
}

func writeEntry(t *tar.Writer, e Entry) error {
	if e.Link != "" {
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: e.Name, Linkname: e.Link, Mode: 0o777})
	}
	info, err := os.Stat(e.Source)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: e.Name, Mode: mode, Size: info.Size()}); err != nil {
		return err
	}
	return copyFile(t, e.Source)
}

func copyFile(w io.Writer, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

type counter struct {
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.hash.Write(p)
}
