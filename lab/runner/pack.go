// Package runner is the lab's stand-in for the package of GitHub's runner: its
// scripts, in our own words, around two small programs.
//
// It keeps the promise that whoever unpacks and configures it needs to know
// nothing of the lab: names, modes and places are those of the real package.
package runner

import (
	"archive/tar"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed files
var files embed.FS

// Programs are the paths of what is compiled.
type Programs struct{ Listener, Node string }

// paddingFile fills the package up to a size. Nothing reads it.
const paddingFile = "externals/padding"

// owner and group of the real package's files are those of the machine that
// packed it, which an installer must not take over.
const owner, group = 1001, 127

// Pack writes the package as a gzipped tar. Padding is how many bytes that
// cannot be compressed go into it, for those who want the real one's size.
func Pack(to io.Writer, programs Programs, padding int64) error {
	zipped := gzip.NewWriter(to)
	archive := tar.NewWriter(zipped)
	entries, err := entriesOf(programs, padding)
	if err != nil {
		return fmt.Errorf("pack runner: %w", err)
	}
	made := map[string]bool{}
	for _, e := range entries {
		if err := e.write(archive, made); err != nil {
			return fmt.Errorf("pack runner: %s: %w", e.name, err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return fmt.Errorf("pack runner: %w", err)
	}
	return nil
}

// entry is one file of the package.
type entry struct {
	name string
	mode int64
	size int64
	open func() (io.ReadCloser, error)
}

func entriesOf(programs Programs, padding int64) ([]entry, error) {
	var entries []entry
	err := fs.WalkDir(files, "files", func(name string, found fs.DirEntry, err error) error {
		if err != nil || found.IsDir() {
			return err
		}
		info, err := found.Info()
		if err != nil {
			return err
		}
		// Embedding forgets who may run what.
		mode := int64(0o644)
		if path.Ext(name) == ".sh" {
			mode = 0o755
		}
		entries = append(entries, entry{strings.TrimPrefix(name, "files/"), mode, info.Size(), func() (io.ReadCloser, error) { return files.Open(name) }})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, from := range map[string]string{"bin/Runner.Listener": programs.Listener, "externals/node20/bin/node": programs.Node} {
		info, err := os.Stat(from)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{name, 0o755, info.Size(), func() (io.ReadCloser, error) { return os.Open(from) }})
	}
	if padding > 0 {
		noise := func() (io.ReadCloser, error) {
			return io.NopCloser(io.LimitReader(rand.NewChaCha8([32]byte{1}), padding)), nil
		}
		entries = append(entries, entry{paddingFile, 0o644, padding, noise})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return entries, nil
}

// write adds the entry, after the folders that it lies in.
func (e entry) write(to *tar.Writer, made map[string]bool) error {
	header := func(kind byte, name string, mode, size int64) error {
		// The same bytes each time: a date would give the package another checksum.
		return to.WriteHeader(&tar.Header{Typeflag: kind, Name: "./" + name, Mode: mode, Size: size, Uid: owner, Gid: group, ModTime: time.Unix(0, 0), Format: tar.FormatGNU})
	}
	parts := strings.Split(e.name, "/")
	for i := range parts[:len(parts)-1] {
		folder := strings.Join(parts[:i+1], "/") + "/"
		if made[folder] {
			continue
		}
		made[folder] = true
		if err := header(tar.TypeDir, folder, 0o755, 0); err != nil {
			return err
		}
	}
	if err := header(tar.TypeReg, e.name, e.mode, e.size); err != nil {
		return err
	}
	from, err := e.open()
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}
