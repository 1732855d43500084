package github

import (
	"net/http"
	"strings"
	"time"
)

// logKeeps is how many requests are remembered.
const logKeeps = 2000

// Entry is one request. It names who asked, never with what secret.
type Entry struct {
	Number int       `json:"number"` // counted from 1 since the server started
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Status int       `json:"status"`
	Who    string    `json:"who"`
	Asked  string    `json:"asked"` // the address by which this server was asked
}

// Writes tells whether the request was one that changes something and was made
// by an installer: with a personal access token or one that it was given for it.
func (e Entry) Writes() bool {
	return e.Method != http.MethodGet && e.Method != http.MethodHead && strings.HasSuffix(e.Who, " token")
}

// note writes a finished request down. A listener's questions for work are left
// out, for there is one every few seconds.
func (s *Server) note(r *http.Request, status int, who string) {
	if strings.HasSuffix(r.URL.Path, "/messages") {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logged++
	s.log = append(s.log, Entry{
		Number: s.logged, Time: s.options.Now().UTC(), Method: r.Method, Path: r.URL.Path, Status: status, Who: who, Asked: r.Host,
	})
	if len(s.log) > logKeeps {
		s.log = s.log[len(s.log)-logKeeps:]
	}
}

// who says whose secret a request bears.
func (s *Server) who(r *http.Request) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := bearer(r, "Bearer", "token", "RemoteAuth")
	if secret == "" {
		return "nobody"
	}
	if may := s.tokenMay(secret); may != "" {
		return may + " token"
	}
	if one, ok := s.state.Issued[secret]; ok {
		return one.Purpose + " token"
	}
	if _, one := s.byID(s.access[secret]); one != nil {
		return "runner " + one.Name
	}
	return "unknown token"
}

// Log returns the last requests, the oldest first.
func (s *Server) Log() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Entry{}, s.log...)
}
