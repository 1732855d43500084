// Package artifact brings release files to this computer.
//
// It keeps the promise that only what the release says reaches a box: each
// file is checked against the release's own list of digests, pinned in
// ssg-bootstrap.lock at first use, fetched once, resumed when it broke off and
// checked again when it is taken from the cache.
package artifact

// Ref names one file of one release.
type Ref struct {
	// Name is the project, as in "k3s".
	Name string `json:"name"`
	// Version is a release, or a channel such as "stable".
	Version string `json:"version"`
	File    string `json:"file"`
}

// String returns the ref as the lock file writes it.
func (r Ref) String() string { return r.Name + "/" + r.Version + "/" + r.File }

// Artifact is a file of a release whose content is known. Its Version is
// always a release, never a channel.
type Artifact struct {
	Ref
	URL    string `json:"url"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}
