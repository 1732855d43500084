package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// disk is what changes the folder; tests cut it off at every call.
type disk interface {
	mkdir(path string) error
	// create writes a new file under a name that does not count and brings it
	// to the disk.
	create(path string, data []byte) error
	rename(from, to string) error
	remove(path string) error
	syncDir(path string) error
}

type realDisk struct{}

func (realDisk) mkdir(path string) error { return os.MkdirAll(path, 0o700) }

func (realDisk) create(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (realDisk) rename(from, to string) error { return os.Rename(from, to) }
func (realDisk) remove(path string) error     { return os.Remove(path) }

func (realDisk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// unfinished begins the names of files that were not finished. Only one run
// writes at a time, so names need not be told apart further.
const unfinished = ".unfinished-"

// write makes a file appear whole or not at all. The name is on the disk only
// once its folder was synced.
func write(d disk, path string, data []byte) error {
	temporary := filepath.Join(filepath.Dir(path), unfinished+filepath.Base(path))
	if err := d.create(temporary, data); err != nil {
		// A disk that is full would stay so.
		_ = d.remove(temporary)
		return err
	}
	return d.rename(temporary, path)
}

// sweepUnfinished removes what runs left that were cut off.
func (v *Vault) sweepUnfinished() error {
	return filepath.WalkDir(v.opts.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasPrefix(e.Name(), unfinished) {
			return err
		}
		return v.disk.remove(path)
	})
}
