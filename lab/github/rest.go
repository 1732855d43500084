package github

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tokenLife is how long a registration or removal token is good for.
const tokenLife = time.Hour

// routeAPI adds the REST API's routes below a prefix.
func (s *Server) routeAPI(prefix string) {
	repo := prefix + "/repos/{owner}/{repository}"
	runners := repo + "/actions/runners"
	s.mux.HandleFunc("GET "+repo, s.with("", s.getRepository))
	s.mux.HandleFunc("GET "+runners+"/downloads", s.with(tokenRead, s.listDownloads))
	s.mux.HandleFunc("GET "+runners+"/deprecations/{version}", s.with(tokenRead, s.getDeprecation))
	s.mux.HandleFunc("POST "+runners+"/registration-token", s.with(tokenWrite, s.issue(forRegistration)))
	s.mux.HandleFunc("POST "+runners+"/remove-token", s.with(tokenWrite, s.issue(forRemoval)))
	s.mux.HandleFunc("GET "+runners, s.with(tokenRead, s.listRunners))
	s.mux.HandleFunc("GET "+runners+"/{id}", s.with(tokenRead, s.getRunner))
	s.mux.HandleFunc("DELETE "+runners+"/{id}", s.with(tokenWrite, s.deleteRunner))
}

// onRepository handles a request about a repository; the lock is held.
type onRepository func(w http.ResponseWriter, r *http.Request, name string, repo *repository)

// with lets those through who have a token that suffices. Nothing needs none
// only where the repository is public.
func (s *Server) with(need string, handle onRepository) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		secret := bearer(r, "Bearer", "token")
		may := s.tokenMay(secret)
		name := strings.ToLower(r.PathValue("owner") + "/" + r.PathValue("repository"))
		repo := s.state.Repositories[name]
		switch {
		case secret != "" && may == "":
			refuse(w, http.StatusUnauthorized, "Bad credentials")
		case may == "" && need != "":
			refuse(w, http.StatusUnauthorized, "Requires authentication")
		// Who may not see a repository is not told that there is one.
		case repo == nil || may == "" && !repo.Public:
			refuse(w, http.StatusNotFound, "Not Found")
		case need == tokenWrite && may != tokenWrite:
			refuse(w, http.StatusForbidden, "Resource not accessible by personal access token")
		default:
			handle(w, r, name, repo)
		}
	}
}

// tokenMay says what a personal access token may do, nothing if it is none.
func (s *Server) tokenMay(secret string) string {
	for may, token := range s.state.Tokens {
		if token == secret {
			return may
		}
	}
	return ""
}

func (s *Server) getRepository(w http.ResponseWriter, r *http.Request, name string, repo *repository) {
	visibility := "private"
	if repo.Public {
		visibility = "public"
	}
	_, short, _ := strings.Cut(name, "/")
	reply(w, http.StatusOK, map[string]any{
		"name": short, "full_name": name, "private": !repo.Public, "visibility": visibility,
		"html_url": base(r) + "/" + name, "default_branch": "main", "archived": false, "disabled": false,
	})
}

func (s *Server) getDeprecation(w http.ResponseWriter, r *http.Request, _ string, _ *repository) {
	version := r.PathValue("version")
	until, tracked := s.state.Deprecations[version]
	if !tracked {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"runner_version":             version,
		"runtime_deprecates_at":      until.Runtime.Format(time.RFC3339),
		"registration_deprecates_at": until.Registration.Format(time.RFC3339),
	})
}

// issue makes a token for one purpose. Within its hour it may be used again, as
// GitHub's may.
func (s *Server) issue(purpose string) onRepository {
	return func(w http.ResponseWriter, _ *http.Request, name string, _ *repository) {
		token := newToken()
		until := s.options.Now().Add(tokenLife)
		s.expire()
		s.state.Issued[token] = issued{Purpose: purpose, Repository: name, Expires: until}
		s.kept(w, http.StatusCreated, map[string]any{"token": token, "expires_at": until.Format("2006-01-02T15:04:05.000-07:00")})
	}
}

// newToken looks as GitHub's do.
func newToken() string { return "A" + random(28) }

// kept answers once the change is on disk, and says so if it is not.
func (s *Server) kept(w http.ResponseWriter, status int, body any) {
	if err := s.keep(); err != nil {
		refuse(w, http.StatusInternalServerError, "%v", err)
		return
	}
	if body == nil {
		w.WriteHeader(status)
		return
	}
	reply(w, status, body)
}

// expire forgets tokens whose time is over.
func (s *Server) expire() {
	for token, one := range s.state.Issued {
		if !s.options.Now().Before(one.Expires) {
			delete(s.state.Issued, token)
		}
	}
}

// Runner is what the API tells of a runner.
type Runner struct {
	ID        int     `json:"id"`
	Name      string  `json:"name"`
	OS        string  `json:"os"`
	Status    string  `json:"status"` // online or offline
	Busy      bool    `json:"busy"`
	Ephemeral bool    `json:"ephemeral"`
	Version   string  `json:"version"`
	Labels    []Label `json:"labels"`
}

// Label is one of a runner's; the type is read-only for those that a runner
// gives itself, and custom for its owner's.
type Label struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// shown is a runner as the API tells of it; the lock is held.
func (s *Server) shown(one *runner) Runner {
	status := "offline"
	if s.online(one.ID) {
		status = "online"
	}
	labels := []Label{}
	for _, l := range one.Labels {
		kind := "custom"
		if l.Type == "system" {
			kind = "read-only"
		}
		labels = append(labels, Label{ID: l.ID, Name: l.Name, Type: kind})
	}
	return Runner{
		ID: one.ID, Name: one.Name, OS: "Linux", Status: status, Busy: one.Busy,
		Ephemeral: one.Ephemeral, Version: one.Version, Labels: labels,
	}
}

func (s *Server) listRunners(w http.ResponseWriter, r *http.Request, _ string, repo *repository) {
	all := []Runner{}
	for _, one := range repo.Runners {
		if name := r.FormValue("name"); name == "" || name == one.Name {
			all = append(all, s.shown(one))
		}
	}
	size, page := number(r, "per_page", 30, 100), number(r, "page", 1, 1<<20)
	from := min((page-1)*size, len(all))
	to := min(from+size, len(all))
	if to < len(all) {
		next := *r.URL
		query := next.Query()
		query.Set("page", fmt.Sprint(page+1))
		next.RawQuery = query.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<%s%s>; rel="next"`, base(r), next.String()))
	}
	reply(w, http.StatusOK, map[string]any{"total_count": len(all), "runners": slices.Clone(all[from:to])})
}

// number is a whole number of the query, between 1 and most.
func number(r *http.Request, key string, otherwise, most int) int {
	n, err := strconv.Atoi(r.FormValue(key))
	if err != nil || n < 1 {
		return otherwise
	}
	return min(n, most)
}

// runnerOf is the runner that the path names, or nil.
func runnerOf(r *http.Request, repo *repository) *runner {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil
	}
	at := slices.IndexFunc(repo.Runners, func(one *runner) bool { return one.ID == id })
	if at < 0 {
		return nil
	}
	return repo.Runners[at]
}

func (s *Server) getRunner(w http.ResponseWriter, r *http.Request, _ string, repo *repository) {
	one := runnerOf(r, repo)
	if one == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	reply(w, http.StatusOK, s.shown(one))
}

func (s *Server) deleteRunner(w http.ResponseWriter, r *http.Request, _ string, repo *repository) {
	one := runnerOf(r, repo)
	switch {
	case one == nil:
		refuse(w, http.StatusNotFound, "Not Found")
	case one.Busy:
		refuse(w, http.StatusUnprocessableEntity, "Bad request - Runner %q is still running a job", one.Name)
	default:
		s.dropRunner(repo, one.ID)
		s.kept(w, http.StatusNoContent, nil)
	}
}

// dropRunner forgets a runner and whatever its listener holds.
func (s *Server) dropRunner(repo *repository, id int) {
	repo.drop(id)
	s.disconnect(id)
}
