package payload

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Stage makes sure that the archive is unpacked under <dataDir>/data/<digest>
// and that data/current points there. It returns that folder.
func Stage(dataDir string, a *Archive) (string, error) {
	root := filepath.Join(dataDir, "data")
	dir := filepath.Join(root, a.Name())
	if isCurrent(root, a.Name()) {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("make data folder: %w", err)
	}
	// systemd may start the service while somebody types kubectl: the second
	// one waits and then finds the work done.
	unlock, err := lock(filepath.Join(root, ".lock"))
	if err != nil {
		return "", fmt.Errorf("lock data folder: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := unpackTo(root, dir, a); err != nil {
			return "", fmt.Errorf("unpack payload: %w", err)
		}
	}
	return dir, pointCurrent(root, a.Name())
}

// Staged returns the folder under dataDir that holds the archive unpacked, if
// there is one.
func Staged(dataDir string, a *Archive) (string, bool) {
	dir := filepath.Join(dataDir, "data", a.Name())
	_, err := os.Stat(dir)
	return dir, err == nil
}

func isCurrent(root, name string) bool {
	target, err := os.Readlink(filepath.Join(root, "current"))
	if err != nil || filepath.Base(target) != name {
		return false
	}
	_, err = os.Stat(filepath.Join(root, name))
	return err == nil
}

func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// unpackTo fills a temporary folder and renames it, so that a folder with the
// digest's name is always whole, whenever the power went.
func unpackTo(root, dir string, a *Archive) error {
	leftovers, err := filepath.Glob(filepath.Join(root, "*-tmp"))
	if err != nil {
		return err
	}
	for _, old := range leftovers {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	tmp := dir + "-tmp"
	if err := Unpack(tmp, a); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	return syncDir(root)
}

// Unpack writes the archive's files into a new folder and checks the digest.
func Unpack(dir string, a *Archive) error {
	sum := sha256.New()
	raw := io.TeeReader(a.Reader(), sum)
	z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer z.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := untar(dir, z); err != nil {
		return corruptUnlessLocal(err)
	}
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), a.Digest[:]) {
		return ErrCorrupt
	}
	return syncDir(dir)
}

// corruptUnlessLocal tells a damaged archive from a full or failing disk: the
// first is cured by another download, the second is not.
func corruptUnlessLocal(err error) error {
	var local *os.PathError
	if errors.As(err, &local) || errors.Is(err, unix.ENOSPC) {
		return err
	}
	return fmt.Errorf("%w (%v)", ErrCorrupt, err)
}

func untar(dir string, r io.Reader) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("archive names a file outside itself: %q", h.Name)
		}
		if err := place(filepath.Join(dir, h.Name), h, t); err != nil {
			return err
		}
	}
}

func place(path string, h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(path, 0o755)
	case tar.TypeSymlink:
		if strings.HasPrefix(h.Linkname, "/") {
			return fmt.Errorf("archive has an absolute link: %q", h.Linkname)
		}
		return os.Symlink(h.Linkname, path)
	case tar.TypeReg:
		return writeFile(path, os.FileMode(h.Mode), r)
	}
	return fmt.Errorf("archive has an entry of unknown type: %q", h.Name)
}

func writeFile(path string, mode os.FileMode, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// pointCurrent swaps the link in one rename; previous keeps the last release
// for whoever wants to look back.
func pointCurrent(root, name string) error {
	current := filepath.Join(root, "current")
	if old, err := os.Readlink(current); err == nil && filepath.Base(old) != name {
		if err := relink(old, filepath.Join(root, "previous")); err != nil {
			return err
		}
	}
	if err := relink(filepath.Join(root, name), current); err != nil {
		return err
	}
	return syncDir(root)
}

func relink(target, link string) error {
	tmp := link + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, link)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
