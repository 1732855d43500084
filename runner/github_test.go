package runner

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	repository = "omkar619-dev/studentsystemgo"
	// pat and registrationToken are canaries as well.
	pat               = "canary-pat-51f0"
	registrationToken = "canary-registration-9a7e"
)

// hub is a GitHub with one repository.
type hub struct {
	*httptest.Server
	mu      sync.Mutex
	public  bool
	version string
	sum     string
	archive []byte
	runners map[string]*hubRunner
	nextID  int64
	// answer, if not nil, may answer a request in GitHub's place.
	answer func(w http.ResponseWriter, r *http.Request) bool
	log    []string
	ends   map[string]time.Time
}

type hubRunner struct {
	ID      int64
	Name    string
	Online  bool
	Busy    bool
	Version string
	Labels  []string
}

func newHub(t *testing.T, archive []byte, sum string) *hub {
	h := &hub{version: "2.336.0", archive: archive, sum: sum, runners: map[string]*hubRunner{}, nextID: 6, ends: map[string]time.Time{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, r.Method+" "+r.URL.RequestURI())
	if h.answer != nil && h.answer(w, r) {
		return
	}
	base := "/api/v3/repos/" + repository
	path, ours := strings.CutPrefix(r.URL.Path, base)
	switch {
	case r.URL.Path == "/download/actions-runner-linux-x64-"+h.version+".tar.gz":
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(h.archive)))
	case r.Header.Get("Authorization") != "Bearer "+pat:
		say(w, http.StatusUnauthorized, map[string]any{"message": "Bad credentials"})
	case !ours:
		say(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
	case r.Method == "GET" && path == "":
		say(w, 200, map[string]any{"private": !h.public, "name": "studentsystemgo"})
	case r.Method == "GET" && path == "/actions/runners/downloads":
		file := "actions-runner-linux-x64-" + h.version + ".tar.gz"
		say(w, 200, []any{
			map[string]any{"os": "osx", "architecture": "x64", "download_url": "x", "filename": "x"},
			map[string]any{"os": "linux", "architecture": "x64", "download_url": h.URL + "/download/" + file, "filename": file, "sha256_checksum": h.sum},
		})
	case r.Method == "GET" && path == "/actions/runners":
		h.list(w, r.FormValue("name"))
	case r.Method == "POST" && path == "/actions/runners/registration-token":
		say(w, 201, map[string]any{"token": registrationToken, "expires_at": time.Now().Add(time.Hour).Format(time.RFC3339)})
	case r.Method == "DELETE" && strings.HasPrefix(path, "/actions/runners/"):
		for name, one := range h.runners {
			if fmt.Sprint(one.ID) == strings.TrimPrefix(path, "/actions/runners/") {
				delete(h.runners, name)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		say(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
	case r.Method == "GET" && strings.HasPrefix(path, "/actions/runners/deprecations/"):
		version := strings.TrimPrefix(path, "/actions/runners/deprecations/")
		ends, tracked := h.ends[version]
		if !tracked {
			say(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
			return
		}
		say(w, 200, map[string]any{"runner_version": version, "runtime_deprecates_at": ends, "registration_deprecates_at": nil})
	default:
		say(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
	}
}

func (h *hub) list(w http.ResponseWriter, name string) {
	out := []any{}
	for _, one := range h.runners {
		if name != "" && !strings.Contains(one.Name, name) {
			continue
		}
		status := "offline"
		if one.Online {
			status = "online"
		}
		labels := []any{map[string]any{"id": 1, "name": "self-hosted", "type": "read-only"}}
		for i, l := range one.Labels {
			labels = append(labels, map[string]any{"id": i + 2, "name": l, "type": "custom"})
		}
		out = append(out, map[string]any{"id": one.ID, "name": one.Name, "os": "Linux", "status": status, "busy": one.Busy, "version": one.Version, "labels": labels})
	}
	say(w, 200, map[string]any{"total_count": len(out), "runners": out})
}

func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// enrol is what config.sh does with a registration token.
func (h *hub) enrol(token, name, version string, labels []string) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if token != registrationToken {
		return 0, fmt.Errorf("Http response code: Unauthorized from 'POST /actions/runner-registration'")
	}
	one := h.runners[name]
	if one == nil {
		h.nextID++
		one = &hubRunner{ID: h.nextID, Name: name}
		h.runners[name] = one
	}
	one.Version, one.Labels, one.Online = version, labels, false
	return one.ID, nil
}

// listens sets whether a listener with this ID asks for work.
func (h *hub) listens(id int64, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.runners {
		if one.ID == id {
			one.Online = on
		}
	}
}

func (h *hub) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// requests returns what was asked since the last call.
func (h *hub) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.log
	h.log = nil
	return out
}
