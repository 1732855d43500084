package mirror

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// tailscale serves the packages of Tailscale's stable track, which lie side by side.
func (m *Mirror) tailscale(w http.ResponseWriter, r *http.Request) {
	m.serve(w, r, filepath.Join(m.tailscaleDir(), part(r.PathValue("file"))))
}

func (m *Mirror) tailscaleDir() string { return filepath.Join(m.dir, "tailscale", "stable") }

// tailscaleIndex names the newest version, as that site does for ?mode=json.
func (m *Mirror) tailscaleIndex(w http.ResponseWriter, r *http.Request) {
	newest := ""
	for _, version := range m.tailscaleVersions() {
		if newest == "" || semver.Compare("v"+version, "v"+newest) > 0 {
			newest = version
		}
	}
	if r.FormValue("mode") != "json" || newest == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that is gone misses nothing
		"Tarballs":        map[string]string{"amd64": "tailscale_" + newest + "_amd64.tgz"},
		"TarballsVersion": newest,
	})
}

func (m *Mirror) tailscaleVersions() []string {
	entries, err := os.ReadDir(m.tailscaleDir())
	if err != nil {
		return nil
	}
	var versions []string
	for _, entry := range entries {
		version, tarball := strings.CutSuffix(strings.TrimPrefix(entry.Name(), "tailscale_"), "_amd64.tgz")
		if tarball && semver.IsValid("v"+version) {
			versions = append(versions, version)
		}
	}
	return versions
}
