package artifact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Options configure a Store.
type Options struct {
	// CacheDir holds the files by digest; empty is DefaultCacheDir.
	CacheDir string
	// LockPath is ssg-bootstrap.lock, next to the configuration; empty pins
	// nothing beyond this run.
	LockPath string
	// K3sMirror stands in for https://github.com; empty is GitHub itself.
	K3sMirror string
	// TailscaleMirror stands in for https://pkgs.tailscale.com.
	TailscaleMirror string
	// HelmMirror stands in for https://get.helm.sh.
	HelmMirror string
	// UpdateLock lets a changed release replace what is pinned.
	UpdateLock bool
	// HTTP makes the requests; nil is a client that respects HTTPS_PROXY.
	HTTP *http.Client
	// Stall ends a download when no byte has come for so long, over all
	// attempts; 0 is two minutes.
	Stall time.Duration
	// Tell is told in a sentence why a request is tried again; nil for nobody.
	// Several goroutines may call it.
	Tell func(text string)
}

// Store resolves and fetches artifacts. It is safe for use by several
// goroutines, and several processes may share its folder.
type Store struct {
	opts     Options
	sources  map[string]source
	http     *http.Client
	patience patience

	mu sync.Mutex
	// listed holds the digests that this run read from the release's list.
	listed map[Ref]string
	// asked holds the releases that this run was told for channels, so that all
	// files of a run are of one release.
	asked map[string]string
	// unlocked takes the place of the lock file where there is none.
	unlocked pins
}

// DefaultCacheDir is ssg-bootstrap/artifacts in the user's cache folder.
func DefaultCacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(dir, "ssg-bootstrap", "artifacts"), nil
}

// Open makes a Store and reads the lock file, so that a damaged one is found
// before anything else is done.
func Open(o Options) (*Store, error) {
	var err error
	if o.CacheDir == "" {
		if o.CacheDir, err = DefaultCacheDir(); err != nil {
			return nil, err
		}
	}
	if o.LockPath != "" {
		if o.LockPath, err = filepath.Abs(o.LockPath); err != nil {
			return nil, fmt.Errorf("find the lock file: %w", err)
		}
	}
	if _, err := readPins(o.LockPath); err != nil {
		return nil, err
	}
	s := &Store{
		opts:     o,
		sources:  sources(o),
		http:     o.HTTP,
		patience: patience{cmp.Or(o.Stall, 2*time.Minute)},
		listed:   make(map[Ref]string),
		asked:    make(map[string]string),
		unlocked: pins{make(map[string]string), make(map[string]pin)},
	}
	if s.http == nil {
		s.http = defaultClient()
	}
	return s, nil
}

// Resolve says what a file's content must be. What is pinned needs no network;
// the rest is asked of the release and pinned.
func (s *Store) Resolve(ctx context.Context, ref Ref) (Artifact, error) {
	if err := s.checkRef(ref); err != nil {
		return Artifact{}, fmt.Errorf("resolve %s: %w", ref, err)
	}
	src := s.sources[ref.Name]
	ref, err := s.release(ctx, src, ref)
	if err != nil {
		return Artifact{}, err
	}
	known, err := s.pins()
	if err != nil {
		return Artifact{}, err
	}
	if p, there := known.Artifacts[ref.String()]; there && !s.opts.UpdateLock {
		return pinned(src, ref, p), nil
	}
	digest, err := s.listedDigest(ctx, ref)
	if err != nil {
		return Artifact{}, err
	}
	size, err := s.askSize(ctx, src.fileURL(ref.Version, ref.File))
	if err != nil {
		return Artifact{}, err
	}
	found := pin{SHA256: digest, Size: int(size)}
	err = s.pin(ctx, func(p *pins) error {
		// Another run may have been first.
		if old, there := p.Artifacts[ref.String()]; there && old != found && !s.opts.UpdateLock {
			return lockMismatch(ref, old, digest)
		}
		p.Artifacts[ref.String()] = found
		return nil
	})
	return pinned(src, ref, found), err
}

func pinned(src source, ref Ref, p pin) Artifact {
	return Artifact{Ref: ref, URL: src.fileURL(ref.Version, ref.File), SHA256: p.SHA256, Size: int64(p.Size)}
}

// Release returns the release that a version or a channel stands for, for
// projects whose files carry it in their names.
func (s *Store) Release(ctx context.Context, name, version string) (string, error) {
	ref := Ref{Name: name, Version: version, File: "any"}
	if err := s.checkRef(ref); err != nil {
		return "", fmt.Errorf("look up %s %s: %w", name, version, err)
	}
	ref, err := s.release(ctx, s.sources[name], ref)
	return ref.Version, err
}

// release puts the release that a channel stands for in the channel's place.
func (s *Store) release(ctx context.Context, src source, ref Ref) (Ref, error) {
	if matches(src.releases(), ref.Version) {
		return ref, nil
	}
	channel := ref.Name + "/" + ref.Version
	known, err := s.pins()
	if err != nil {
		return ref, err
	}
	s.mu.Lock()
	version := s.asked[channel]
	s.mu.Unlock()
	if version == "" && !s.opts.UpdateLock {
		version = known.Channels[channel]
	}
	if version == "" {
		if version, err = s.pinChannel(ctx, src, channel, ref.Version); err != nil {
			return ref, err
		}
	}
	ref.Version = version
	return ref, nil
}

func (s *Store) pinChannel(ctx context.Context, src source, channel, name string) (string, error) {
	version, err := src.ask(ctx, s, name)
	if err != nil {
		return "", err
	}
	err = s.pin(ctx, func(p *pins) error {
		if old := p.Channels[channel]; old != "" && !s.opts.UpdateLock {
			version = old // another run was first
		}
		p.Channels[channel] = version
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[channel] = version
	return version, err
}

// listedDigest reads a file's digest from the release's own list.
func (s *Store) listedDigest(ctx context.Context, ref Ref) (string, error) {
	s.mu.Lock()
	digest := s.listed[ref]
	s.mu.Unlock()
	if digest != "" {
		return digest, nil
	}
	src, err := s.source(ref.Name)
	if err != nil {
		return "", err
	}
	at := src.sums(ref)
	text, err := s.get(ctx, at)
	if err != nil {
		return "", err
	}
	sums, err := src.listed(ref, text)
	if err != nil {
		return "", fetchError(at, fmt.Errorf("this is not a list of digests: %w", err))
	}
	if sums[ref.File] == "" {
		return "", fault.New(fault.UnknownVersion, "", "the release %s has no file %s", ref.Version, ref.File)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for file, digest := range sums {
		s.listed[Ref{ref.Name, ref.Version, file}] = digest
	}
	return sums[ref.File], nil
}

// get reads a small text whole.
func (s *Store) get(ctx context.Context, at string) (string, error) {
	const most = 1 << 20
	var text string
	err := s.persist(ctx, at, func() (bool, error) {
		resp, err := s.once(ctx, s.http, http.MethodGet, at, nil)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
		if err == nil && len(data) > most {
			err = permanent{fmt.Errorf("more than %d bytes for a list of digests", most)}
		}
		text = string(data)
		return false, err
	})
	return text, err
}

// askSize asks how large a file is, without fetching it.
func (s *Store) askSize(ctx context.Context, at string) (int64, error) {
	resp, err := s.ask(ctx, s.http, http.MethodHead, at, nil)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	if resp.ContentLength > 0 {
		return resp.ContentLength, nil
	}
	// A server that does not say it for HEAD says it beside a range.
	resp, err = s.ask(ctx, s.http, http.MethodGet, at, http.Header{"Range": {"bytes=0-0"}})
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	if size, err := strconv.ParseInt(total, 10, 64); err == nil && size > 0 {
		return size, nil
	}
	return 0, fetchError(at, errors.New("the server does not say how large the file is"))
}
