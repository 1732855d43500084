package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec/strict"
)

// pin is what the lock file holds of one artifact.
type pin struct {
	SHA256 string `yaml:"sha256"`
	Size   int    `yaml:"size"`
}

// pins is ssg-bootstrap.lock: digests by Ref.String(), and the releases that
// channels stood for, so that a second run installs what the first one did.
type pins struct {
	Channels  map[string]string `yaml:"channels"`
	Artifacts map[string]pin    `yaml:"artifacts"`
}

const lockHeader = `# Written by ssg-bootstrap; keep it next to ssg-bootstrap.yaml and under version
# control. What is fetched must match it; --update-lock moves it.
`

// readPins reads the lock file; one that is not there holds nothing yet.
func readPins(path string) (pins, error) {
	var p pins
	if path == "" {
		return p, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read lock file: %w", err)
	}
	return parsePins(path, data)
}

func parsePins(path string, data []byte) (pins, error) {
	var p pins
	doc := strict.Decode(path, data, &p)
	for ref, a := range p.Artifacts {
		at := []string{"artifacts", ref}
		if parts := strings.Split(ref, "/"); len(parts) != 3 || slices.Contains(parts, "") {
			doc.Refuse(at, "%q is not NAME/VERSION/FILE", ref)
		}
		if !matches(`^[0-9a-f]{64}$`, a.SHA256) {
			doc.Refuse(append(at, "sha256"), "%q is not a SHA-256 digest", a.SHA256)
		}
		if a.Size <= 0 {
			doc.Refuse(append(at, "size"), "the size is missing or not above 0")
		}
	}
	for channel, version := range p.Channels {
		if project, _, _ := strings.Cut(channel, "/"); !matches(releasePattern(project), version) {
			doc.Refuse([]string{"channels", channel}, "%q is not a %s release", version, project)
		}
	}
	if err := strict.Error(path, doc.Mistakes()); err != nil {
		return pins{}, err
	}
	return p, nil
}

// text is the lock file's content, sorted, so that version control shows what
// moved and nothing else.
func (p pins) text() string {
	var b strings.Builder
	b.WriteString(lockHeader)
	if len(p.Channels) > 0 {
		b.WriteString("channels:\n")
	}
	for _, channel := range slices.Sorted(maps.Keys(p.Channels)) {
		fmt.Fprintf(&b, "  %s: %s\n", channel, p.Channels[channel])
	}
	if len(p.Artifacts) > 0 {
		b.WriteString("artifacts:\n")
	}
	for _, ref := range slices.Sorted(maps.Keys(p.Artifacts)) {
		a := p.Artifacts[ref]
		fmt.Fprintf(&b, "  %s:\n    sha256: %q\n    size: %d\n", ref, a.SHA256, a.Size)
	}
	return b.String()
}

// pin changes the lock file. Runs side by side take turns, and each reads what
// the others wrote.
func (s *Store) pin(ctx context.Context, change func(*pins) error) error {
	if s.opts.LockPath == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		return change(&s.unlocked)
	}
	release, err := s.exclusive(ctx, "pins-"+digestOf([]byte(s.opts.LockPath)))
	if err != nil {
		return err
	}
	defer release()
	p, err := readPins(s.opts.LockPath)
	if err != nil {
		return err
	}
	before := p.text()
	if p.Channels == nil {
		p.Channels = make(map[string]string)
	}
	if p.Artifacts == nil {
		p.Artifacts = make(map[string]pin)
	}
	if err := change(&p); err != nil {
		return err
	}
	if after := p.text(); after != before {
		return atomicfile.Write(s.opts.LockPath, []byte(after), 0o644)
	}
	return nil
}

// pins returns what is pinned now.
func (s *Store) pins() (pins, error) {
	if s.opts.LockPath == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		return pins{maps.Clone(s.unlocked.Channels), maps.Clone(s.unlocked.Artifacts)}, nil
	}
	return readPins(s.opts.LockPath)
}

// exclusive waits for its turn among all processes of this computer.
func (s *Store) exclusive(ctx context.Context, name string) (release func(), err error) {
	path := filepath.Join(s.opts.CacheDir, "locks", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	type turn struct {
		release func()
		err     error
	}
	got := make(chan turn)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		select {
		case got <- turn{unlock, err}:
		case <-ctx.Done():
			if err == nil {
				unlock()
			}
		}
	}()
	select {
	case t := <-got:
		if t.err != nil {
			return nil, fmt.Errorf("lock cache: %w", t.err)
		}
		return t.release, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another run to finish with %s: %w", s.opts.CacheDir, context.Cause(ctx))
	}
}

func lockMismatch(ref Ref, pinned pin, found string) error {
	return &fault.Error{
		Code:     fault.LockMismatch,
		Op:       "compare " + ref.String() + " with the lock file",
		Err:      errors.New("the release has another content than the one that is pinned"),
		Evidence: fmt.Sprintf("pinned  sha256:%s\nrelease sha256:%s", pinned.SHA256, found),
	}
}
