package images

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// store keeps on this computer what images are made of, by digest:
//
//	blobs/HEX     manifests, configurations and layers as the source has them
//	scans/HEX     what a scan found in the layer of that digest
//	parcels/…     what is on its way to a box
type store struct{ dir string }

// How long files stay that nobody used: a blob long enough for the box's next
// disk, a parcel only as long as a run can take.
const (
	keepBlobs   = 30 * 24 * time.Hour
	keepParcels = 24 * time.Hour
)

func openStore(dir string) (store, error) {
	s := store{dir}
	for sub, keep := range map[string]time.Duration{"blobs": keepBlobs, "scans": 6 * keepBlobs, "parcels": keepParcels} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return s, fmt.Errorf("make the image cache: %w", err)
		}
		if err := s.clean(sub, keep); err != nil {
			return s, fmt.Errorf("clean the image cache: %w", err)
		}
	}
	return s, nil
}

func (s store) clean(sub string, keep time.Duration) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, sub))
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // another run cleans too
		}
		if err == nil && time.Since(info.ModTime()) > keep {
			err = os.Remove(filepath.Join(s.dir, sub, e.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s store) blob(h v1.Hash) string { return filepath.Join(s.dir, "blobs", h.Hex) }
func (s store) scan(h v1.Hash) string { return filepath.Join(s.dir, "scans", h.Hex) }

// has tells whether the blob is there, and that it was of use.
func (s store) has(h v1.Hash) bool {
	now := time.Now()
	return os.Chtimes(s.blob(h), now, now) == nil
}

// keep takes a blob in if it is what its digest says.
func (s store) keep(h v1.Hash, from io.Reader) (err error) {
	// Half a blob is no more worth keeping than half a parcel.
	f, err := os.CreateTemp(filepath.Join(s.dir, "parcels"), "blob-*")
	if err != nil {
		return fmt.Errorf("keep blob: %w", err)
	}
	defer os.Remove(f.Name()) // fails once the file was renamed, as it should
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), from)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep blob: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); h.Algorithm != "sha256" || got != h.Hex {
		return digestError{want: h, got: got}
	}
	if err := os.Rename(f.Name(), s.blob(h)); err != nil {
		return fmt.Errorf("keep blob: %w", err)
	}
	return nil
}

// digestError is a blob that is not what it was asked for.
type digestError struct {
	want v1.Hash
	got  string
}

func (e digestError) Error() string { return fmt.Sprintf("wanted %s, got sha256:%s", e.want, e.got) }

// findings returns what an earlier scan found in a layer, if there was one.
func (s store) findings(h v1.Hash) (contents, bool) {
	data, err := os.ReadFile(s.scan(h))
	if err != nil {
		return contents{}, false
	}
	var c contents
	if json.NewDecoder(bytes.NewReader(data)).Decode(&c) != nil || c.Format != scanFormat {
		return contents{}, false
	}
	return c, true
}

// remember notes what a scan found. A file that was half written is not read
// as JSON and scanned again.
func (s store) remember(h v1.Hash, c contents) error {
	data, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(s.scan(h), data, 0o644)
	}
	if err != nil {
		return fmt.Errorf("remember scan: %w", err)
	}
	return nil
}

// read returns a small blob that is there.
func (s store) read(h v1.Hash) ([]byte, error) {
	f, err := os.Open(s.blob(h))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, manifestLimit+1))
	if err == nil && len(data) > manifestLimit {
		err = fmt.Errorf("%s has more than %d bytes", h, manifestLimit)
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); err == nil && got != h.Hex {
		// Damaged since it was kept: the next reader fetches it again.
		err = cmp.Or(os.Remove(s.blob(h)), error(digestError{h, got}))
	}
	return data, err
}

// manifestLimit is how long a manifest or a configuration may be, as
// registries limit it too.
const manifestLimit = 4 << 20
