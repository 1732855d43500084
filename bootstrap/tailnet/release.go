package tailnet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
)

// release is the Tailscale release of one run; all steps speak of the same.
type release struct {
	store   Store
	version string

	mu    sync.Mutex
	known *artifact.Artifact
}

func newRelease(store Store, version string) *release {
	return &release{store: store, version: version}
}

// tarball says what the release's tarball is, without fetching it.
func (r *release) tarball(ctx context.Context) (artifact.Artifact, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known != nil {
		return *r.known, nil
	}
	version, err := r.store.Release(ctx, "tailscale", r.version)
	if err != nil {
		return artifact.Artifact{}, err
	}
	a, err := r.store.Resolve(ctx, artifact.Ref{Name: "tailscale", Version: version, File: artifact.TailscaleTarball(version)})
	if err != nil {
		return artifact.Artifact{}, fmt.Errorf("look up tailscale %s: %w", version, err)
	}
	r.known = &a
	return a, nil
}

// fetch brings the tarball to this computer, telling now and then how far it
// is, and looks into it.
func (r *release) fetch(ctx context.Context, a artifact.Artifact, note func(string)) (string, contents, error) {
	const pause = 3 * time.Second
	told := time.Now()
	local, err := r.store.Fetch(ctx, a, func(done, total int64) {
		if total > 0 && time.Since(told) >= pause {
			told = time.Now()
			note(fmt.Sprintf("fetching %s to this computer: %d %%", a.File, done*100/total))
		}
	})
	if err != nil {
		return "", contents{}, fmt.Errorf("fetch %s: %w", a.File, err)
	}
	c, err := readTarball(local, a.Version)
	if err != nil {
		return "", contents{}, fmt.Errorf("look into %s: %w", a.File, err)
	}
	return local, c, nil
}
