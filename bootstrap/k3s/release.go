package k3s

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// release is the k3s release of one run. What a channel points to must not
// change between the steps, so each file is resolved once.
type release struct {
	store   Store
	version string

	mu    sync.Mutex
	known map[string]artifact.Artifact
}

const binaryFile = "k3s"

func newRelease(store Store, version string) *release {
	return &release{store: store, version: version, known: map[string]artifact.Artifact{}}
}

func (r *release) file(ctx context.Context, name string) (artifact.Artifact, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.known[name]; ok {
		return a, nil
	}
	a, err := r.store.Resolve(ctx, artifact.Ref{Name: "k3s", Version: r.version, File: name})
	if err != nil {
		return artifact.Artifact{}, fmt.Errorf("look up %s of k3s %s: %w", name, r.version, err)
	}
	r.known[name] = a
	// The other files come from the same release, also where a channel was
	// asked for.
	r.version = a.Version
	return a, nil
}

// fetch brings the file to this computer and tells now and then how far it is;
// one that is in the cache is there before there is anything to tell.
func (r *release) fetch(ctx context.Context, a artifact.Artifact, note func(string)) (string, error) {
	const pause = 3 * time.Second
	told := time.Now()
	progress := func(done, total int64) {
		if total > 0 && time.Since(told) >= pause {
			told = time.Now()
			note(fmt.Sprintf("fetching %s to this computer: %d %%", a.File, done*100/total))
		}
	}
	local, err := r.store.Fetch(ctx, a, progress)
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", a.File, err)
	}
	return local, nil
}

// minor returns the minor version of "v1.36.4+k3s1" or of a text that holds
// one.
func minor(text string) (int, bool) {
	m := regexp.MustCompile(`\bv1\.(\d{1,4})\.\d+`).FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return n, err == nil
}

// checkDowngrade refuses to go back to an older minor version: the datastore
// may hold what the older one cannot read, and k3s does not say so until it
// fails.
func checkDowngrade(installed, wanted string) error {
	have, ok := minor(installed)
	want, ok2 := minor(wanted)
	if !ok || !ok2 || want >= have {
		return nil
	}
	return fault.New(fault.PreflightRefused,
		fmt.Sprintf("set the profile's k3s version to a v1.%d release, or uninstall first (which removes the data)", have),
		"k3s %s is older than what is installed (v1.%d), and an older minor version cannot read the data of a newer one", wanted, have)
}
