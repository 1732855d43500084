package tailnet

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// contents are the two programs of a tarball and where they go. A build that
// is both at once has one file and a link to it.
type contents struct {
	files []program
	links []link
}

type program struct{ member, sha256, path string }

type link struct{ path, to string }

// A tarball is 35 MB and unpacks to 60; these keep a hostile one from filling
// the workstation's memory or time.
const (
	mostMembers = 100
	mostBytes   = 1 << 30
)

// readTarball finds the programs, and refuses a tarball that holds anything
// which does not belong into one.
func readTarball(file, version string) (contents, error) {
	f, err := os.Open(file)
	if err != nil {
		return contents{}, err
	}
	defer f.Close()
	c, err := readPrograms(f, version)
	if err != nil {
		return contents{}, &fault.Error{Code: fault.DigestMismatch, Err: err, Next: "try another mirror, or another version under tailnet.version"}
	}
	return c, nil
}

func readPrograms(r io.Reader, version string) (contents, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return contents{}, fmt.Errorf("this is no gzip: %w", err)
	}
	p := parts{folder: "tailscale_" + version + "_amd64/"}
	tr := tar.NewReader(io.LimitReader(z, mostBytes))
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err == nil && n >= mostMembers {
			err = fmt.Errorf("more than %d members", mostMembers)
		}
		if err == nil {
			err = p.take(h, tr)
		}
		if err != nil {
			return contents{}, err
		}
	}
	return p.contents()
}

// parts collects what a tarball has of the two programs, by their names.
type parts struct {
	folder string
	digest map[string]string
	linked map[string]string
}

func (p *parts) take(h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeDir && h.Name == p.folder {
		return nil
	}
	name, below := strings.CutPrefix(h.Name, p.folder)
	if !below || path.Clean("/"+name) != "/"+strings.TrimSuffix(name, "/") {
		return fmt.Errorf("%q is not below %s", h.Name, p.folder)
	}
	wanted := name == "tailscaled" || name == "tailscale"
	switch h.Typeflag {
	case tar.TypeDir:
		return nil
	case tar.TypeReg:
		if !wanted {
			return nil
		}
		return p.file(name, r)
	case tar.TypeSymlink:
		// Only from one program to the other: a link could lead anywhere.
		if wanted && h.Linkname == other(name) {
			if p.linked == nil {
				p.linked = map[string]string{}
			}
			p.linked[name] = h.Linkname
			return nil
		}
		return fmt.Errorf("%q is a link to %q", h.Name, h.Linkname)
	}
	return fmt.Errorf("%q is neither a file nor a folder", h.Name)
}

func other(name string) string {
	if name == "tailscale" {
		return "tailscaled"
	}
	return "tailscale"
}

// elfHeader is how a 64-bit little-endian program for amd64 begins, its type
// left out.
func isProgram(head []byte) bool {
	const machine, amd64 = 18, 62
	return len(head) > machine && string(head[:6]) == "\x7fELF\x02\x01" && head[machine] == amd64
}

func (p *parts) file(name string, r io.Reader) error {
	if p.digest[name] != "" || p.linked[name] != "" {
		return fmt.Errorf("%s is there twice", name)
	}
	head := make([]byte, 20)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return err
	}
	if !isProgram(head[:n]) {
		return fmt.Errorf("%s is not a program for this kind of computer", name)
	}
	sum := sha256.New()
	sum.Write(head[:n])
	if _, err := io.Copy(sum, r); err != nil {
		return err
	}
	if p.digest == nil {
		p.digest = map[string]string{}
	}
	p.digest[name] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (p *parts) contents() (contents, error) {
	var c contents
	for _, place := range []struct{ name, path string }{{"tailscaled", daemonPath}, {"tailscale", clientPath}} {
		switch {
		case p.digest[place.name] != "" && p.linked[place.name] != "":
			return c, fmt.Errorf("%s is there twice", place.name)
		case p.digest[place.name] != "":
			c.files = append(c.files, program{p.folder + place.name, p.digest[place.name], place.path})
		case p.linked[place.name] != "" && p.digest[other(place.name)] != "":
			to := daemonPath
			if place.path == daemonPath {
				to = clientPath
			}
			c.links = append(c.links, link{place.path, to})
		default:
			return c, fmt.Errorf("there is no %s in it", place.name)
		}
	}
	return c, nil
}
