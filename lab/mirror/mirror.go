// Package mirror stands in for the sites that releases come from. It promises
// the shape of their answers: GitHub's redirect from a release's address to
// that of the stored object, ranges of it, and the channel server's redirect to
// the release that a channel means. What can go wrong with a download is
// available on request.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// Mirror serves a folder that is laid out like GitHub:
// OWNER/REPOSITORY/releases/download/VERSION/FILE.
type Mirror struct {
	dir    string
	mux    *http.ServeMux
	faults *Faults
}

// New serves dir with the given faults.
func New(dir string, list ...Fault) *Mirror {
	m := &Mirror{dir: dir, mux: http.NewServeMux(), faults: NewFaults(list...)}
	m.mux.HandleFunc("GET /{owner}/{repository}/releases/download/{version}/{file}", m.download)
	m.mux.HandleFunc("GET /objects/release/asset/{owner}/{repository}/{version}/{file}", m.object)
	m.mux.HandleFunc("GET /helm/{file}", m.helm)
	m.mux.HandleFunc("GET /tailscale/stable/{$}", m.tailscaleIndex)
	m.mux.HandleFunc("GET /tailscale/stable/{file}", m.tailscale)
	m.mux.HandleFunc("GET /v1-release/channels/{channel}", m.channel)
	m.mux.HandleFunc("GET /{owner}/{repository}/releases/tag/{version}", m.tag)
	return m
}

// ServeHTTP makes a Mirror a handler.
func (m *Mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Nothing here is a page that a proxy or a browser may keep.
	w.Header().Set("Cache-Control", "no-store")
	m.mux.ServeHTTP(w, r)
}

// download sends the client to the object, as GitHub does: by a signed address
// elsewhere that is good for a while.
func (m *Mirror) download(w http.ResponseWriter, r *http.Request) {
	owner, repository, version, file := r.PathValue("owner"), r.PathValue("repository"), r.PathValue("version"), r.PathValue("file")
	if _, err := os.Stat(m.path(owner, repository, version, file)); err != nil {
		http.NotFound(w, r)
		return
	}
	object := &url.URL{Path: path.Join("/objects/release/asset", owner, repository, version, file)}
	object.RawQuery = url.Values{"response-content-disposition": {"attachment; filename=" + file}}.Encode()
	http.Redirect(w, r, object.String(), http.StatusFound)
}

// object serves what a download leads to.
func (m *Mirror) object(w http.ResponseWriter, r *http.Request) {
	m.serve(w, r, m.path(r.PathValue("owner"), r.PathValue("repository"), r.PathValue("version"), r.PathValue("file")))
}

// helm serves Helm's releases, which lie side by side.
func (m *Mirror) helm(w http.ResponseWriter, r *http.Request) {
	m.serve(w, r, filepath.Join(m.dir, "helm", part(r.PathValue("file"))))
}

// serve answers with a file, ranges and all.
func (m *Mirror) serve(w http.ResponseWriter, r *http.Request, path string) {
	name := filepath.Base(path)
	file, err := os.Open(path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	m.faults.ServeFile(w, r, name, file, info.ModTime())
}

// channel sends the client to the release that a channel means. There is one
// release of k3s here at a time, or the newest counts.
func (m *Mirror) channel(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("channel")
	newest := ""
	for _, version := range m.versions("k3s-io", "k3s") {
		fits := name == "stable" || name == "latest" || semver.MajorMinor(version) == name
		if fits && semver.IsValid(version) && (newest == "" || later(version, newest)) {
			newest = version
		}
	}
	if newest == "" {
		http.NotFound(w, r)
		return
	}
	http.Redirect(w, r, "/k3s-io/k3s/releases/tag/"+newest, http.StatusFound)
}

// later orders k3s's versions. What follows the plus does not count in semantic
// versioning, but +k3s2 does come after +k3s1.
func later(a, b string) bool {
	if order := semver.Compare(a, b); order != 0 {
		return order > 0
	}
	return semver.Build(a) > semver.Build(b)
}

func (m *Mirror) tag(w http.ResponseWriter, r *http.Request) {
	for _, version := range m.versions(r.PathValue("owner"), r.PathValue("repository")) {
		if version == r.PathValue("version") {
			fmt.Fprintf(w, "%s %s\n", r.PathValue("repository"), version)
			return
		}
	}
	http.NotFound(w, r)
}

func (m *Mirror) versions(owner, repository string) []string {
	entries, err := os.ReadDir(filepath.Join(m.dir, filepath.Base(owner), filepath.Base(repository), "releases", "download"))
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// path stays inside the folder: each part is one name, whatever was asked for.
func (m *Mirror) path(owner, repository, version, file string) string {
	return filepath.Join(m.dir, part(owner), part(repository), "releases", "download", part(version), part(file))
}

// part is one name, whatever was asked for.
func part(name string) string { return strings.TrimLeft(filepath.Base(filepath.Clean("/"+name)), ".") }

// Server is a mirror that listens.
type Server struct {
	http     *http.Server
	listener net.Listener
}

// Listen serves handler on a loopback address; port 0 picks one.
func Listen(address string, handler http.Handler) (*Server, error) {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return nil, fmt.Errorf("open mirror: %w", err)
	}
	return serve(listener, handler), nil
}

// ListenUnix serves handler on a socket that only its owner reaches. What lies
// at the path is taken for a dead server's.
func ListenUnix(path string, handler http.Handler) (*Server, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), listener.Close())
	}
	return serve(listener, handler), nil
}

func serve(listener net.Listener, handler http.Handler) *Server {
	s := &Server{http: &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}, listener: listener}
	go func() { _ = s.http.Serve(listener) }() // ends with Close, and says only that
	return s
}

// URL is what the program's configuration takes as its mirror.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Close ends the mirror; downloads have a moment to end.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return s.http.Close()
}
