package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
)

// slot is the place of one file in the cache:
//
//	<cache>/<sha256>/<file>          checked
//	<cache>/<sha256>/<file>.part     what has arrived so far
//	<cache>/<sha256>/<file>.from     what the server said of the part
//	<cache>/<sha256>/<file>.checked  how the file looked when it was checked
type slot struct{ file, part, from, checked string }

func (s *Store) slot(a Artifact) slot {
	file := filepath.Join(s.opts.CacheDir, a.SHA256, a.File)
	return slot{file: file, part: file + ".part", from: file + ".from", checked: file + ".checked"}
}

// look is how a file looks from outside. While it looks the same it is not
// hashed again: a run on a slow workstation would spend seconds on it.
type look struct {
	Size    int64  `json:"size"`
	ModTime int64  `json:"modTime"`
	Inode   uint64 `json:"inode"`
}

func lookAt(path string) (look, error) {
	info, err := os.Stat(path)
	if err != nil {
		return look{}, err
	}
	return look{Size: info.Size(), ModTime: info.ModTime().UnixNano(), Inode: inode(info)}, nil
}

// holds reports whether the cache has the file with the right content. One
// that was tampered with is thrown away.
func (p slot) holds(a Artifact) (bool, error) {
	now, err := lookAt(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at cache: %w", err)
	}
	if p.wasChecked(now) {
		return true, nil
	}
	digest, err := hashFile(p.file)
	if err != nil {
		return false, fmt.Errorf("check cache: %w", err)
	}
	if digest == a.SHA256 {
		return true, p.remember()
	}
	if err := os.Remove(p.file); err != nil {
		return false, fmt.Errorf("throw away a damaged file: %w", err)
	}
	return false, nil
}

func (p slot) wasChecked(now look) bool {
	var then look
	data, err := os.ReadFile(p.checked)
	return err == nil && json.Unmarshal(data, &then) == nil && then == now
}

func (p slot) remember() error {
	now, err := lookAt(p.file)
	if err != nil {
		return fmt.Errorf("look at cache: %w", err)
	}
	data, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("remember check: %w", err)
	}
	return atomicfile.Write(p.checked, data, 0o644)
}

// keep checks the complete part and makes it the file. It returns the digest
// of a part that is not what it should be, which is then thrown away.
func (p slot) keep(a Artifact) (wrong string, err error) {
	digest, err := hashFile(p.part)
	if err != nil {
		return "", fmt.Errorf("check download: %w", err)
	}
	if digest != a.SHA256 {
		return digest, p.discard()
	}
	if err := os.Rename(p.part, p.file); err != nil {
		return "", fmt.Errorf("keep download: %w", err)
	}
	if err := os.Remove(p.from); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("keep download: %w", err)
	}
	return "", p.remember()
}

// discard throws away what has arrived so far.
func (p slot) discard() error {
	for _, path := range []string{p.part, p.from} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("throw away a damaged download: %w", err)
		}
	}
	return nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
