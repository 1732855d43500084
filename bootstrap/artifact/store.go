package artifact

import (
	"net/http"
	"time"
)

// Options configure a Store.
type Options struct {
	// CacheDir holds the files by digest.
	CacheDir string
	// LockPath is ssg-bootstrap.lock, next to the configuration.
	LockPath string
	// K3sMirror stands in for https://github.com; empty is GitHub itself.
	K3sMirror string
	// UpdateLock lets a changed release replace what is pinned.
	UpdateLock bool
	// HTTP makes the requests; nil is a client that respects HTTPS_PROXY.
	HTTP *http.Client
	// Stall ends a download when no byte has come for so long, over all
	// attempts; 0 is two minutes.
	Stall time.Duration
}
