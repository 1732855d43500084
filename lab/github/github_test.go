package github_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
)

const repo = "/repos/omkar619-dev/studentsystemgo"

// hub is a GitHub with a clock of the test's own.
type hub struct {
	*github.Server
	url string
	mu  sync.Mutex
	now time.Time
}

func (h *hub) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hub) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func newHub(t *testing.T, options github.Options) *hub {
	t.Helper()
	h := &hub{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	options.Now = h.clock
	server, err := github.New(options)
	if err != nil {
		t.Fatal(err)
	}
	h.Server = server
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	h.url = listener.URL
	return h
}

// ask sends a request; authorization is the header's whole value.
func (h *hub) ask(t *testing.T, method, path, authorization string, body any) (int, []byte) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	req.Header.Set("User-Agent", "GitHubActionsRunner-linux-x64/"+github.RunnerVersion)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, content
}

// get asks as the owner and decodes the answer.
func (h *hub) get(t *testing.T, path string, into any) {
	t.Helper()
	status, content := h.ask(t, http.MethodGet, path, "Bearer "+h.Token(true), nil)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, content)
	}
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatalf("GET %s: %v: %s", path, err, content)
	}
}

// issue returns a registration or removal token.
func (h *hub) issue(t *testing.T, what string) string {
	t.Helper()
	status, content := h.ask(t, http.MethodPost, repo+"/actions/runners/"+what, "Bearer "+h.Token(true), nil)
	var answer struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal(content, &answer); status != http.StatusCreated || err != nil {
		t.Fatalf("%s: %d %s, %v", what, status, content, err)
	}
	if left := answer.Expires.Sub(h.clock()); left != time.Hour {
		t.Errorf("%s is good for %s, want an hour", what, left)
	}
	return answer.Token
}

func TestWhoMayDoWhat(t *testing.T) {
	h := newHub(t, github.Options{Mirror: t.TempDir()})
	write, read := "Bearer "+h.Token(true), "token "+h.Token(false)
	for _, c := range []struct {
		method, path, authorization string
		want                        int
	}{
		{"GET", repo, write, 200},
		{"GET", "/api/v3" + repo, write, 200},
		{"GET", repo, read, 200},
		{"GET", repo, "", 404},
		{"GET", repo, "Bearer ghp_guessed", 401},
		{"GET", repo + "/actions/runners", "", 401},
		{"GET", repo + "/actions/runners", read, 200},
		{"GET", repo + "/actions/runners/downloads", read, 200},
		{"GET", "/repos/omkar619-dev/other", write, 404},
		{"GET", "/repos/omkar619-dev/other/actions/runners", write, 404},
		{"POST", repo + "/actions/runners/registration-token", read, 403},
		{"POST", repo + "/actions/runners/remove-token", read, 403},
		{"POST", "/api/v3" + repo + "/actions/runners/registration-token", write, 201},
		{"DELETE", repo + "/actions/runners/1", read, 403},
		{"DELETE", repo + "/actions/runners/1", write, 404},
		{"GET", repo + "/actions/runners/1", write, 404},
		{"GET", "/nonsense", write, 404},
	} {
		if got, body := h.ask(t, c.method, c.path, c.authorization, nil); got != c.want {
			t.Errorf("%s %s with %.10q: %d, want %d: %s", c.method, c.path, c.authorization, got, c.want, body)
		}
	}
}

func TestVisibility(t *testing.T) {
	h := newHub(t, github.Options{Mirror: t.TempDir()})
	for _, public := range []bool{false, true} {
		if err := h.Public(public); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Private    bool   `json:"private"`
			Visibility string `json:"visibility"`
			FullName   string `json:"full_name"`
		}
		h.get(t, repo, &got)
		if got.Private == public || (got.Visibility == "public") != public || got.FullName != github.DefaultRepository {
			t.Errorf("public %t: %+v", public, got)
		}
		if status, _ := h.ask(t, http.MethodGet, repo, "", nil); (status == http.StatusOK) != public {
			t.Errorf("public %t: a stranger gets %d", public, status)
		}
	}
}

// The address of a download is one that the asker reaches, and what lies there
// has the checksum that was named.
func TestDownloads(t *testing.T) {
	dir := t.TempDir()
	h := newHub(t, github.Options{Mirror: dir})
	type offer struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		URL          string `json:"download_url"`
		SHA256       string `json:"sha256_checksum"`
	}
	ours := func() (offer, bool) {
		var offers []offer
		h.get(t, "/api/v3"+repo+"/actions/runners/downloads", &offers)
		at := slices.IndexFunc(offers, func(o offer) bool { return o.OS == "linux" && o.Architecture == "x64" })
		if at < 0 {
			return offer{}, false
		}
		return offers[at], true
	}
	if _, there := ours(); there {
		t.Error("a package is offered that was never built")
	}
	path := github.RunnerPackage(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"a runner", "another runner"} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		got, _ := ours()
		sum := sha256.Sum256([]byte(content))
		if got.SHA256 != hex.EncodeToString(sum[:]) || !strings.HasPrefix(got.URL, h.url+"/") {
			t.Errorf("%+v", got)
		}
		status, body := h.ask(t, http.MethodGet, strings.TrimPrefix(got.URL, h.url), "", nil)
		if status != http.StatusOK || string(body) != content {
			t.Errorf("%s: %d %q", got.URL, status, body)
		}
		if err := h.CorruptHash(true); err != nil {
			t.Fatal(err)
		}
		if wrong, _ := ours(); wrong.SHA256 == got.SHA256 || len(wrong.SHA256) != len(got.SHA256) {
			t.Errorf("corrupt: %s", wrong.SHA256)
		}
		if err := h.CorruptHash(false); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeprecations(t *testing.T) {
	h := newHub(t, github.Options{Mirror: t.TempDir()})
	path := repo + "/actions/runners/deprecations/" + github.RunnerVersion
	for how, want := range map[string]time.Duration{"ok": 180 * 24 * time.Hour, "soon": 10 * 24 * time.Hour, "past": -24 * time.Hour} {
		if err := h.Deprecate(github.RunnerVersion, how); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Version      string    `json:"runner_version"`
			Runtime      time.Time `json:"runtime_deprecates_at"`
			Registration time.Time `json:"registration_deprecates_at"`
		}
		h.get(t, path, &got)
		if got.Version != github.RunnerVersion || got.Runtime.Sub(h.clock()) != want || got.Registration != got.Runtime {
			t.Errorf("%s: %+v", how, got)
		}
	}
	if err := h.Deprecate(github.RunnerVersion, "unknown"); err != nil {
		t.Fatal(err)
	}
	if status, _ := h.ask(t, http.MethodGet, path, "Bearer "+h.Token(true), nil); status != http.StatusNotFound {
		t.Errorf("unknown: %d", status)
	}
}

// exchange presents a short-lived token as a runner does.
func (h *hub) exchange(t *testing.T, token, event, repository string) (int, map[string]string) {
	t.Helper()
	status, body := h.ask(t, http.MethodPost, "/api/v3/actions/runner-registration", "RemoteAuth "+token,
		map[string]string{"url": h.url + "/" + repository, "runner_event": event})
	var answer map[string]string
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return status, answer
}

func TestTokensAreForOnePurposeAndOneHour(t *testing.T) {
	h := newHub(t, github.Options{Mirror: t.TempDir()})
	registration, removal := h.issue(t, "registration-token"), h.issue(t, "remove-token")
	for _, c := range []struct {
		token, event, repository string
		want                     int
	}{
		{registration, "register", github.DefaultRepository, 200},
		{registration, "register", github.DefaultRepository, 200}, // again within the hour
		{registration, "remove", github.DefaultRepository, 404},
		{registration, "dance", github.DefaultRepository, 404},
		{registration, "register", "omkar619-dev/other", 404},
		{removal, "remove", github.DefaultRepository, 200},
		{removal, "register", github.DefaultRepository, 404},
		{"AGUESSED", "register", github.DefaultRepository, 404},
		{h.Token(true), "register", github.DefaultRepository, 404},
	} {
		if status, body := h.exchange(t, c.token, c.event, c.repository); status != c.want {
			t.Errorf("%s of %s: %d, want %d: %v", c.event, c.repository, status, c.want, body)
		}
	}
	if status, body := h.ask(t, http.MethodGet, repo, "Bearer "+registration, nil); status != http.StatusUnauthorized {
		t.Errorf("a registration token opens the API: %d %s", status, body)
	}
	h.pass(time.Hour)
	if status, _ := h.exchange(t, registration, "register", github.DefaultRepository); status != http.StatusNotFound {
		t.Errorf("after an hour: %d", status)
	}
}

func TestVersionsThatMayNotRegister(t *testing.T) {
	h := newHub(t, github.Options{Mirror: t.TempDir()})
	register := func() int {
		status, _ := h.exchange(t, h.issue(t, "registration-token"), "register", github.DefaultRepository)
		return status
	}
	for _, c := range []struct {
		floor string
		want  int
	}{{"2.329.0", 200}, {"2.340.0", 200}, {"2.340.1", 403}, {"2.1000.0", 403}, {"2.99.0", 200}} {
		if err := h.MinVersion(c.floor); err != nil {
			t.Fatal(err)
		}
		if got := register(); got != c.want {
			t.Errorf("floor %s: %d, want %d", c.floor, got, c.want)
		}
	}
	if err := h.Deprecate(github.RunnerVersion, "past"); err != nil {
		t.Fatal(err)
	}
	if got := register(); got != http.StatusForbidden {
		t.Errorf("deprecated since yesterday: %d", got)
	}
}

func TestFailuresEnd(t *testing.T) {
	h := newHub(t, github.Options{Mirror: t.TempDir()})
	for _, code := range []int{429, 500, 503} {
		if err := h.Fail(code, 2, ""); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{code, code, 200} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/api/v3"+repo, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+h.Token(true))
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%d, want %d", answer.StatusCode, want)
			}
			if after := answer.Header.Get("Retry-After"); (want == 429) != (after == "2") {
				t.Errorf("%d says Retry-After %q", want, after)
			}
		}
	}
	if err := h.Fail(500, 1, "registration-token"); err != nil {
		t.Fatal(err)
	}
	if status, _ := h.ask(t, http.MethodGet, repo, "Bearer "+h.Token(true), nil); status != 200 {
		t.Errorf("another path: %d", status)
	}
	if status, _ := h.ask(t, http.MethodPost, repo+"/actions/runners/registration-token", "Bearer "+h.Token(true), nil); status != 500 {
		t.Errorf("the path that was meant: %d", status)
	}
	h.issue(t, "registration-token")
}

func TestLogNamesWhoAndNoSecret(t *testing.T) {
	h := newHub(t, github.Options{Mirror: t.TempDir()})
	h.ask(t, http.MethodGet, repo, "Bearer "+h.Token(false), nil)
	token := h.issue(t, "registration-token")
	h.exchange(t, token, "register", github.DefaultRepository)
	h.ask(t, http.MethodGet, repo, "", nil)
	type seen struct {
		method, who string
		status      int
		writes      bool
	}
	var got []seen
	for _, e := range h.Log() {
		got = append(got, seen{e.Method, e.Who, e.Status, e.Writes()})
	}
	want := []seen{
		{"GET", "read token", 200, false},
		{"POST", "write token", 201, true},
		{"POST", "registration token", 200, true},
		{"GET", "nobody", 404, false},
	}
	if !slices.Equal(got, want) {
		t.Errorf("log %+v\nwant %+v", got, want)
	}
	text, err := json.Marshal(h.Log())
	if err != nil || bytes.Contains(text, []byte(token)) || bytes.Contains(text, []byte(h.Token(true))) {
		t.Errorf("a secret is in the log: %s, %v", text, err)
	}
}

func TestStateOutlivesTheServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "github.json")
	first := newHub(t, github.Options{Mirror: t.TempDir(), State: path})
	token := first.issue(t, "registration-token")
	if err := first.MinVersion("2.341.0"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state's mode is %v, %v", info.Mode(), err)
	}
	second := newHub(t, github.Options{Mirror: t.TempDir(), State: path})
	if second.Token(true) != first.Token(true) || second.Token(false) != first.Token(false) {
		t.Error("the owner's tokens have changed")
	}
	if status, _ := second.exchange(t, token, "register", github.DefaultRepository); status != http.StatusForbidden {
		t.Errorf("the floor is forgotten, or the token: %d", status)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := github.New(github.Options{State: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken state: %v", err)
	}
}

func TestWordsThatMakeNoSense(t *testing.T) {
	h := newHub(t, github.Options{Mirror: t.TempDir()})
	for _, words := range []string{"", "dance", "busy oldpc on", "busy oldpc", "fail 200 1", "fail x 1", "fail 500", "corrupt maybe", "min-version new", "deprecate 2.340.0 later", "deprecate x ok", "forget nobody", "exit oldpc 1"} {
		if _, err := h.Turn(strings.Fields(words)); err == nil {
			t.Errorf("%q was accepted", words)
		}
	}
}
