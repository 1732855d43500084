package github

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// Purposes of the tokens that a short-lived token is exchanged for: they open
// the list of a repository's runners, to add to it or to take from it.
const (
	toAdd    = "add"
	toRemove = "remove"
)

// exchangeLife is how long an exchanged token is good for. Assumed: longer than
// any configuration takes.
const exchangeLife = 30 * time.Minute

func (s *Server) routeRegistration(prefix string) {
	s.mux.HandleFunc("POST "+prefix+"/actions/runner-registration", s.exchange)
}

// exchange takes a registration or removal token and says where the runner's
// service is and what opens it there.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		URL   string `json:"url"`
		Event string `json:"runner_event"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := bearer(r, "RemoteAuth")
	if secret == "" {
		refuse(w, http.StatusUnauthorized, "Requires authentication")
		return
	}
	purposes := map[string][2]string{"register": {forRegistration, toAdd}, "remove": {forRemoval, toRemove}}
	purpose, known := purposes[asked.Event]
	name := repositoryOf(asked.URL)
	token, ok := s.state.Issued[secret]
	// One answer for all that can be wrong with a token, as GitHub gives.
	if !known || !ok || token.Purpose != purpose[0] || token.Repository != name || !s.options.Now().Before(token.Expires) {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	if version := versionOf(r); asked.Event == "register" && !s.mayRegister(version) {
		refuse(w, http.StatusForbidden, "Runner version v%s is deprecated and cannot be registered. The minimum is v%s.", version, s.state.MinVersion)
		return
	}
	fresh := random(40)
	s.state.Issued[fresh] = issued{Purpose: purpose[1], Repository: name, Expires: s.options.Now().Add(exchangeLife)}
	s.kept(w, http.StatusOK, map[string]string{
		"url":          base(r) + "/" + tenant(name) + "/",
		"token":        fresh,
		"token_schema": "OAuthAccessToken",
	})
}

// repositoryOf is the owner and name in a repository's address.
func repositoryOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.Trim(parsed.Path, "/"))
}

// tenant is the first part of the path of a repository's service. Runners that
// are not at github.com itself take the name of their unit from it, so it is
// what they would take from the repository's address there.
func tenant(repository string) string {
	return regexp.MustCompile(`[^0-9A-Za-z._-]`).ReplaceAllString(repository, "-")
}

// versionOf is the runner's version, which it sends with each request.
func versionOf(r *http.Request) string {
	found := regexp.MustCompile(`^GitHubActionsRunner-[a-z0-9-]+/([0-9][^ ]*)`).FindStringSubmatch(r.UserAgent())
	if found == nil {
		return "0.0.0"
	}
	return found[1]
}

// mayRegister holds a version against the floor and against its own date.
func (s *Server) mayRegister(version string) bool {
	if semver.Compare("v"+version, "v"+s.state.MinVersion) < 0 {
		return false
	}
	until, tracked := s.state.Deprecations[version]
	return !tracked || s.options.Now().Before(until.Registration)
}

// mayRun tells whether a version still gets work.
func (s *Server) mayRun(version string) bool {
	until, tracked := s.state.Deprecations[version]
	return !tracked || s.options.Now().Before(until.Runtime)
}
