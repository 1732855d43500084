package packaging

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Archive packs files under one folder: a zip for Windows, a tar.gz elsewhere.
func Archive(b Build, files []File) (File, error) {
	pack, ending := tarball, ".tar.gz"
	if b.Target.OS == "windows" {
		pack, ending = zipped, ".zip"
	}
	data, err := pack(b.Name(), b.Time, files)
	if err != nil {
		return File{}, fmt.Errorf("pack %s: %w", b.Name(), err)
	}
	return File{Path: b.Name() + ending, Mode: 0o644, Data: data}, nil
}

func tarball(folder string, at time.Time, files []File) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{
			Name: folder + "/" + f.Path, Mode: int64(f.Mode), Size: int64(len(f.Data)), ModTime: at,
			Uname: "root", Gname: "root", Format: tar.FormatPAX,
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, err
		}
	}
	err = errors.Join(w.Close(), z.Close())
	return out.Bytes(), err
}

func zipped(folder string, at time.Time, files []File) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		h := &zip.FileHeader{Name: folder + "/" + f.Path, Method: zip.Deflate, Modified: at}
		h.SetMode(fs.FileMode(f.Mode))
		entry, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(f.Data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// Gzip compresses without a name and a date, as Debian's policy asks of man
// pages.
func Gzip(data []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	_, err = z.Write(data)
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}
