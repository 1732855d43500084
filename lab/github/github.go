// Package github stands in for GitHub as far as a self-hosted runner and its
// installer need it: the REST API under /api/v3 and at the root, the runner's
// releases, and the service that a runner registers with and asks for work.
//
// It keeps the promise that nothing is granted which GitHub would refuse: a
// token opens what it was made for and until its hour is over, a runner is
// online only while it asks for work, and every request is written down with
// who made it. What can go wrong there is available on request. Where the facts
// are not public, the comments say what was assumed.
package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/mirror"
)

// DefaultRepository is the owner's; it exists from the start and is private.
const DefaultRepository = "omkar619-dev/studentsystemgo"

// RunnerVersion is that of the lab's runner; its releases lie in the mirror's
// folder under this version.
const RunnerVersion = "2.340.0"

// Options say where things are.
type Options struct {
	Mirror string           // folder of releases, the runner's among them
	State  string           // file that outlives the server; in memory only if empty
	Now    func() time.Time // the clock; the right time if nil
}

// Server is a GitHub of one's own.
type Server struct {
	options  Options
	mux      *http.ServeMux
	releases *mirror.Mirror
	sums     sums

	mu       sync.Mutex
	state    state
	sessions map[string]*session // by ID; they do not outlive the server
	access   map[string]int      // runners' access tokens, and whose they are
	log      []Entry
	logged   int // how many requests there were in all
	changed  chan struct{}
}

// New opens the state and makes what it lacks.
func New(options Options) (*Server, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Server{
		options: options, mux: http.NewServeMux(), releases: mirror.New(options.Mirror),
		sessions: map[string]*session{}, access: map[string]int{}, changed: make(chan struct{}),
	}
	var err error
	if s.state, err = readState(options.State, options.Now()); err != nil {
		return nil, err
	}
	if err := writeState(options.State, s.state); err != nil {
		return nil, err
	}
	for _, prefix := range []string{"", "/api/v3"} {
		s.routeAPI(prefix)
		s.routeRegistration(prefix)
	}
	s.routeTenant()
	s.mux.Handle("GET /actions/runner/releases/download/{version}/{file}", s.releases)
	s.mux.Handle("GET /objects/release/asset/{owner}/{repository}/{version}/{file}", s.releases)
	return s, nil
}

// ServeHTTP makes a Server a handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := s.who(r) // before a request can take its own permission away
	answer := &recorded{ResponseWriter: w, status: http.StatusOK}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-GitHub-Request-Id", random(12))
	if code, waits := s.failure(r); code != 0 {
		refuseFor(answer, code, waits)
	} else {
		s.mux.ServeHTTP(answer, r)
	}
	s.note(r, answer.status, who)
}

// recorded keeps the status for the log.
type recorded struct {
	http.ResponseWriter
	status int
}

func (r *recorded) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the server's own features through, such as flushing.
func (r *recorded) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// base is how the one who asks reaches this server: the box and the workstation
// know it by different addresses, and both must be able to follow what is named.
func base(r *http.Request) string { return "http://" + r.Host }

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone misses nothing
}

// refuse answers as GitHub does when it does not do what was asked.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	reply(w, status, map[string]string{
		"message":           fmt.Sprintf(format, args...),
		"documentation_url": "https://docs.github.com/rest",
		"status":            fmt.Sprint(status),
	})
}

// refuseFor answers a request that a switch makes fail.
func refuseFor(w http.ResponseWriter, code int, waits time.Duration) {
	message := http.StatusText(code)
	if code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", fmt.Sprint(int(waits.Seconds())))
		message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
	}
	refuse(w, code, "%s", message)
}

// bearer is the secret of an Authorization header of one of the schemes, or
// empty.
func bearer(r *http.Request, schemes ...string) string {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for _, s := range schemes {
		if strings.EqualFold(scheme, s) {
			return strings.TrimSpace(secret)
		}
	}
	return ""
}
