// Package registry serves the lab's images as docker.io and ghcr.io would. It
// promises the read side of the distribution API: manifests by tag and digest,
// blobs and ranges of them, the errors' codes, and a token for who must show
// one. What can go wrong with a pull is available on request, and every byte
// that leaves is counted.
package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/lab/mirror"
)

// Fault is what goes wrong with a manifest, called REPOSITORY:TAG or
// REPOSITORY@DIGEST as it was asked for, or with a blob, called by its digest.
type Fault = mirror.Fault

// Registry serves a folder that holds OCI layouts.
type Registry struct {
	layouts layouts
	faults  *mirror.Faults
	login   *login
	mu      sync.Mutex
	stats   Stats
}

// Stats count what was asked for and what went out, without headers.
type Stats struct {
	Manifests     int   `json:"manifests"`
	Blobs         int   `json:"blobs"`
	ManifestBytes int64 `json:"manifestBytes"`
	BlobBytes     int64 `json:"blobBytes"`
}

// New serves dir with the given faults to whoever asks.
func New(dir string, list ...Fault) *Registry {
	return &Registry{layouts: layouts(dir), faults: mirror.NewFaults(list...)}
}

// NewPrivate is New for those who show the given user's password.
func NewPrivate(dir, user, password string, list ...Fault) *Registry {
	r := New(dir, list...)
	r.login = newLogin(user, password)
	return r
}

// Stats returns what was counted so far.
func (r *Registry) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// ServeHTTP makes a Registry a handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if request.URL.Path == tokenPath && r.login != nil {
		r.login.token(w, request)
		return
	}
	if r.login != nil && !r.login.allows(request) {
		r.login.challenge(w, request)
		return
	}
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", errors.New("this registry is only read from"))
		return
	}
	r.route(w, request)
}

// route takes the path apart from its end: repositories have slashes in their names.
func (r *Registry) route(w http.ResponseWriter, request *http.Request) {
	path, ok := strings.CutPrefix(request.URL.Path, "/v2/")
	if !ok {
		http.NotFound(w, request)
		return
	}
	parts := strings.Split(path, "/")
	if path == "" {
		w.WriteHeader(http.StatusOK)
		return
	}
	if len(parts) < 3 {
		http.NotFound(w, request)
		return
	}
	repository, kind, reference := strings.Join(parts[:len(parts)-2], "/"), parts[len(parts)-2], parts[len(parts)-1]
	switch {
	case kind == "manifests":
		r.manifest(w, request, repository, reference)
	case kind == "blobs":
		r.blob(w, request, repository, reference)
	case kind == "tags" && reference == "list":
		r.tags(w, repository)
	default:
		http.NotFound(w, request)
	}
}

func (r *Registry) manifest(w http.ResponseWriter, request *http.Request, repository, reference string) {
	descriptor, err := r.layouts.manifest(repository, reference)
	if err != nil {
		refuseFor(w, err)
		return
	}
	name := repository + ":" + reference
	if strings.Contains(reference, ":") {
		name = repository + "@" + reference
	}
	w.Header().Set("Content-Type", string(descriptor.MediaType))
	r.serve(w, request, name, descriptor.Digest, func(s *Stats, n int64) { s.Manifests++; s.ManifestBytes += n })
}

func (r *Registry) blob(w http.ResponseWriter, request *http.Request, repository, reference string) {
	digest, err := v1.NewHash(reference)
	if err != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", err)
		return
	}
	all, err := r.layouts.images()
	if err != nil {
		refuseFor(w, err)
		return
	}
	if all[repository] == nil {
		refuseFor(w, errNoRepository)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	r.serve(w, request, reference, digest, func(s *Stats, n int64) { s.Blobs++; s.BlobBytes += n })
}

// serve answers with a blob and counts what the client was sent of it.
func (r *Registry) serve(w http.ResponseWriter, request *http.Request, name string, digest v1.Hash, count func(*Stats, int64)) {
	file, err := r.layouts.blob(digest)
	if errors.Is(err, fs.ErrNotExist) {
		err = errNoBlob
	}
	if err != nil {
		refuseFor(w, err)
		return
	}
	defer file.Close()
	counted := &counter{ResponseWriter: w}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		count(&r.stats, counted.n)
	}()
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.Header().Set("ETag", `"`+digest.String()+`"`)
	// No time: what has this digest has always had it.
	r.faults.ServeFile(counted, request, name, file, time.Time{})
}

func (r *Registry) tags(w http.ResponseWriter, repository string) {
	all, err := r.layouts.images()
	if err == nil && all[repository] == nil {
		err = errNoRepository
	}
	if err != nil {
		refuseFor(w, err)
		return
	}
	var names []string
	for tag := range all[repository] {
		names = append(names, tag)
	}
	slices.Sort(names)
	writeJSON(w, http.StatusOK, map[string]any{"name": repository, "tags": names})
}

func refuseFor(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errNoRepository):
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", err)
	case errors.Is(err, errNoManifest):
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", err)
	case errors.Is(err, errNoBlob):
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", err)
	default:
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err)
	}
}

// refuse answers in the form that clients take codes from.
func refuse(w http.ResponseWriter, status int, code string, err error) {
	writeJSON(w, status, map[string]any{"errors": []map[string]string{{"code": code, "message": fmt.Sprint(err)}}})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that is gone misses nothing
}

type counter struct {
	http.ResponseWriter
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// Unwrap lets a slowed answer be flushed.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
