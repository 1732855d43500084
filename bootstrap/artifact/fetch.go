package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Fetch returns the path of the file, from the cache if it is there and
// unharmed. A download goes on where an earlier one stopped, in this run or
// before. progress may be nil.
func (s *Store) Fetch(ctx context.Context, a Artifact, progress host.Progress) (string, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if !matches(`^[0-9a-f]{64}$`, a.SHA256) || !matches(filePattern, a.File) {
		return "", fmt.Errorf("fetch %s: it was not resolved", a.Ref)
	}
	place := s.slot(a)
	if err := os.MkdirAll(filepath.Dir(place.file), 0o755); err != nil {
		return "", fmt.Errorf("make cache: %w", err)
	}
	// One download at a time: a second run waits and then finds the file.
	release, err := s.exclusive(ctx, a.SHA256)
	if err != nil {
		return "", err
	}
	defer release()
	held, err := place.holds(a)
	if err != nil {
		return "", err
	}
	if !held {
		err = s.download(ctx, a, place, progress)
	}
	if err != nil {
		return "", err
	}
	progress(a.Size, a.Size)
	return place.file, nil
}

// download brings the file. The release's list is asked first: if it has moved
// away from the lock file, not a byte of the file is worth fetching.
func (s *Store) download(ctx context.Context, a Artifact, place slot, progress host.Progress) error {
	listed, err := s.listedDigest(ctx, a.Ref)
	if err != nil {
		return err
	}
	if listed != a.SHA256 {
		return lockMismatch(a.Ref, pin{SHA256: a.SHA256}, listed)
	}
	for {
		resumed, err := s.complete(ctx, a, place, progress)
		if err != nil {
			return err
		}
		wrong, err := place.keep(a)
		if err != nil || wrong == "" {
			return err
		}
		// The part of an earlier run may have been the damaged one; a whole
		// download has no such excuse.
		if !resumed {
			return mismatch(a, "the release lists sha256:"+a.SHA256+"\nthe download is   sha256:"+wrong)
		}
	}
}

// complete goes on with the part until it has its full size, and reports
// whether some of it was there before.
func (s *Store) complete(ctx context.Context, a Artifact, place slot, progress host.Progress) (resumed bool, err error) {
	f, err := os.OpenFile(place.part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return false, fmt.Errorf("open download: %w", err)
	}
	defer f.Close()
	d := download{store: s, a: a, place: place, f: f, progress: progress}
	if d.have, err = f.Seek(0, io.SeekEnd); err != nil {
		return false, fmt.Errorf("open download: %w", err)
	}
	resumed = d.have > 0
	if d.have < a.Size {
		err = s.persist(ctx, a.URL, func() (bool, error) { return d.attempt(ctx) })
	}
	if err == nil {
		err = f.Sync()
	}
	return resumed && !d.restarted, err
}

// download is one file while it comes in.
type download struct {
	store    *Store
	a        Artifact
	place    slot
	f        *os.File
	progress host.Progress
	// have is the part's length, most the longest that it has been.
	have, most int64
	restarted  bool
}

// attempt makes one request for what is missing.
func (d *download) attempt(ctx context.Context) (moved bool, err error) {
	resp, err := d.store.once(ctx, d.store.http, http.MethodGet, d.a.URL, d.header())
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if err := d.position(resp); err != nil {
		return false, err
	}
	before := d.most
	err = d.read(resp.Body)
	return d.most > before, err
}

// header asks for the rest of the part, if the file is still the same.
func (d *download) header() http.Header {
	h := make(http.Header)
	if d.have == 0 {
		return h
	}
	h.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
	if validator := readValidator(d.place.from); validator != "" {
		h.Set("If-Range", validator)
	}
	return h
}

// position prepares the part for the body that the server sends.
func (d *download) position(resp *http.Response) error {
	if resp.StatusCode == http.StatusPartialContent {
		if want := fmt.Sprintf("bytes %d-%d/%d", d.have, d.a.Size-1, d.a.Size); resp.Header.Get("Content-Range") == want {
			return nil
		}
		// Not the rest of this file: begin again, without asking for a range.
		return errors.Join(d.restart(), fmt.Errorf("the server sends %q of a file of %d bytes", resp.Header.Get("Content-Range"), d.a.Size))
	}
	if err := d.restart(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", strings.TrimSpace(resp.Status))
	}
	if resp.ContentLength >= 0 && resp.ContentLength != d.a.Size {
		return permanent{mismatch(d.a, fmt.Sprintf("expected %d bytes, the server has %d", d.a.Size, resp.ContentLength))}
	}
	return writeValidator(d.place.from, resp.Header)
}

func (d *download) restart() error {
	d.restarted = true
	d.have = 0
	if err := d.f.Truncate(0); err != nil {
		return permanent{fmt.Errorf("restart download: %w", err)}
	}
	return nil
}

// read appends the body to the part.
func (d *download) read(body io.Reader) error {
	buf := make([]byte, 128<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if d.have+int64(n) > d.a.Size {
				return permanent{errors.Join(mismatch(d.a, fmt.Sprintf("more than the %d bytes that it should have", d.a.Size)), d.restart())}
			}
			if _, err := d.f.WriteAt(buf[:n], d.have); err != nil {
				return permanent{fmt.Errorf("write download: %w", err)}
			}
			d.have += int64(n)
			d.most = max(d.most, d.have)
			d.progress(d.have, d.a.Size)
		}
		switch {
		case d.have == d.a.Size:
			return nil
		case err == io.EOF:
			return fmt.Errorf("broke off after %d of %d bytes", d.have, d.a.Size)
		case err != nil:
			return err
		}
	}
}

// validator is what the server said of the version that the part is of.
type validator struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

func writeValidator(path string, h http.Header) error {
	data, err := json.Marshal(validator{ETag: h.Get("ETag"), LastModified: h.Get("Last-Modified")})
	if err == nil {
		err = atomicfile.Write(path, data, 0o644)
	}
	if err != nil {
		return permanent{fmt.Errorf("note the version of the download: %w", err)}
	}
	return nil
}

// readValidator returns what If-Range may hold: a strong ETag, else a date. A
// part without one is resumed all the same, since its digest decides.
func readValidator(path string) string {
	var v validator
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &v) != nil {
		return ""
	}
	if v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") {
		return v.ETag
	}
	return v.LastModified
}

func mismatch(a Artifact, evidence string) error {
	return &fault.Error{
		Code:     fault.DigestMismatch,
		Op:       "check " + a.Ref.String(),
		Err:      errors.New("the download is not what the release says; it was thrown away"),
		Evidence: evidence,
	}
}
