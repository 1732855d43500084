package github

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// How long a runner counts as online after its last question, and how long a
// question is left open while there is nothing to do. Assumed, and shorter than
// GitHub's, so that a box without power is soon seen to be gone.
const (
	stillOnline = 15 * time.Second
	pollLasts   = 10 * time.Second
)

// skewAllowed is how far a runner's clock may be off.
const skewAllowed = 5 * time.Minute

// session is a listener's connection: it gets the messages for its runner.
type session struct {
	runner  int
	polling int       // questions that are open
	last    time.Time // end of the last one
	next    int       // number of the next message
}

// routeTenant adds the service that runners talk to: the list of runners, their
// login, and the messages that tell them what to do.
func (s *Server) routeTenant() {
	pool := "/{tenant}/_apis/distributedtask/pools/{pool}"
	s.mux.HandleFunc("GET "+pool+"/agents", s.listAgents)
	s.mux.HandleFunc("POST "+pool+"/agents", s.addAgent)
	s.mux.HandleFunc("PUT "+pool+"/agents/{id}", s.replaceAgent)
	s.mux.HandleFunc("DELETE "+pool+"/agents/{id}", s.removeAgent)
	s.mux.HandleFunc("POST "+pool+"/sessions", s.openSession)
	s.mux.HandleFunc("DELETE "+pool+"/sessions/{session}", s.closeSession)
	s.mux.HandleFunc("GET "+pool+"/messages", s.message)
	s.mux.HandleFunc("POST /{tenant}/_apis/oauth2/token", s.login)
}

// complain answers as the runners' service does, with the name of what went wrong.
func complain(w http.ResponseWriter, status int, name, format string, args ...any) {
	reply(w, status, map[string]string{"typeName": name, "message": fmt.Sprintf(format, args...)})
}

// granted returns the repository whose list of runners a token opens for one of
// the purposes, or answers; the lock is held.
func (s *Server) granted(w http.ResponseWriter, r *http.Request, purposes ...string) *repository {
	token, ok := s.state.Issued[bearer(r, "Bearer")]
	repo := s.state.Repositories[token.Repository]
	if !ok || repo == nil || tenant(token.Repository) != r.PathValue("tenant") || !s.options.Now().Before(token.Expires) {
		complain(w, http.StatusUnauthorized, "UnauthorizedException", "the token opens nothing here")
		return nil
	}
	for _, purpose := range purposes {
		if token.Purpose == purpose {
			return repo
		}
	}
	complain(w, http.StatusForbidden, "AccessDeniedException", "the token is for another purpose")
	return nil
}

// agent is a runner as its own service tells of it.
type agent struct {
	ID            int            `json:"id"`
	Name          string         `json:"name"`
	Version       string         `json:"version"`
	Labels        []label        `json:"labels"`
	Ephemeral     bool           `json:"ephemeral"`
	Authorization *authorization `json:"authorization,omitempty"`
}

type authorization struct {
	ClientID string `json:"clientId"`
	URL      string `json:"authorizationUrl"`
	Key      rsaKey `json:"publicKey"`
}

func (s *Server) listAgents(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.granted(w, r, toAdd, toRemove)
	if repo == nil {
		return
	}
	found := []agent{}
	for _, one := range repo.Runners {
		if name := r.FormValue("agentName"); name == "" || name == one.Name {
			found = append(found, agent{ID: one.ID, Name: one.Name, Version: one.Version, Labels: one.Labels, Ephemeral: one.Ephemeral})
		}
	}
	reply(w, http.StatusOK, map[string]any{"count": len(found), "value": found})
}

// readAgent reads what a runner says of itself, or answers.
func readAgent(w http.ResponseWriter, r *http.Request) (agent, bool) {
	var asked agent
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&asked)
	if err == nil && (asked.Name == "" || asked.Authorization == nil || len(asked.Authorization.Key.Modulus) == 0) {
		err = errors.New("a runner needs a name and a key")
	}
	if err != nil {
		complain(w, http.StatusBadRequest, "ArgumentException", "%v", err)
	}
	return asked, err == nil
}

func (s *Server) addAgent(w http.ResponseWriter, r *http.Request) {
	asked, ok := readAgent(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.granted(w, r, toAdd)
	if repo == nil {
		return
	}
	if repo.find(asked.Name) != nil {
		complain(w, http.StatusConflict, "TaskAgentExistsException", "a runner named %s exists", asked.Name)
		return
	}
	one := &runner{ID: s.id()}
	repo.Runners = append(repo.Runners, one)
	s.enrol(w, r, one, asked)
}

// replaceAgent gives an existing runner to another installation: new key, new
// labels, and whoever held it before is out.
func (s *Server) replaceAgent(w http.ResponseWriter, r *http.Request) {
	asked, ok := readAgent(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.granted(w, r, toAdd)
	if repo == nil {
		return
	}
	one := runnerOf(r, repo)
	if one == nil || one.Name != asked.Name {
		complain(w, http.StatusNotFound, "TaskAgentNotFoundException", "no such runner")
		return
	}
	s.disconnect(one.ID)
	s.enrol(w, r, one, asked)
}

// enrol writes down what a runner is now and tells it how to log in.
func (s *Server) enrol(w http.ResponseWriter, r *http.Request, one *runner, asked agent) {
	labels := make([]label, len(asked.Labels))
	for i, l := range asked.Labels {
		labels[i] = label{ID: s.id(), Name: l.Name, Type: l.Type}
	}
	*one = runner{
		ID: one.ID, Name: asked.Name, Version: asked.Version, Labels: labels, Ephemeral: asked.Ephemeral,
		ClientID: random(32), PublicKey: asked.Authorization.Key,
	}
	s.kept(w, http.StatusOK, agent{
		ID: one.ID, Name: one.Name, Version: one.Version, Labels: one.Labels, Ephemeral: one.Ephemeral,
		Authorization: &authorization{ClientID: one.ClientID, URL: base(r) + "/" + r.PathValue("tenant") + "/_apis/oauth2/token", Key: one.PublicKey},
	})
}

func (s *Server) removeAgent(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.granted(w, r, toRemove)
	if repo == nil {
		return
	}
	one := runnerOf(r, repo)
	if one == nil {
		complain(w, http.StatusNotFound, "TaskAgentNotFoundException", "no such runner")
		return
	}
	s.dropRunner(repo, one.ID)
	s.kept(w, http.StatusNoContent, nil)
}

// login exchanges an assertion that the runner has signed for an access token.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deny := func(code, description string) {
		reply(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
	}
	var claims jwt.RegisteredClaims
	var one *runner
	_, err := jwt.ParseWithClaims(r.FormValue("client_assertion"), &claims, func(*jwt.Token) (any, error) {
		one = s.byClient(claims.Issuer)
		if one == nil {
			return nil, errors.New("no such runner")
		}
		return one.PublicKey.public(), nil
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(s.options.Now), jwt.WithLeeway(skewAllowed), jwt.WithExpirationRequired())
	switch {
	case one == nil:
		deny("unauthorized_client", "the registration was not found")
	case errors.Is(err, jwt.ErrTokenExpired) || errors.Is(err, jwt.ErrTokenNotValidYet):
		deny("invalid_grant", fmt.Sprintf("the assertion is not valid at %s: is the runner's clock right?", s.options.Now().UTC().Format(time.RFC3339)))
	case err != nil:
		deny("invalid_client", "the assertion was not signed by this runner")
	default:
		token := random(40)
		s.access[token] = one.ID
		reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
	}
}

func (s *Server) byClient(id string) *runner {
	for _, repo := range s.state.Repositories {
		for _, one := range repo.Runners {
			if one.ClientID == id {
				return one
			}
		}
	}
	return nil
}

func (k rsaKey) public() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus), E: int(new(big.Int).SetBytes(k.Exponent).Int64())}
}

// caller returns the runner whose access token a request bears, or answers; the
// lock is held.
func (s *Server) caller(w http.ResponseWriter, r *http.Request) *runner {
	_, one := s.byID(s.access[bearer(r, "Bearer")])
	if one == nil {
		complain(w, http.StatusUnauthorized, "UnauthorizedException", "log in first")
	}
	return one
}

func (s *Server) openSession(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.caller(w, r)
	if one == nil {
		return
	}
	version := versionOf(r)
	if !s.mayRun(version) {
		complain(w, http.StatusForbidden, "AccessDeniedException", "Runner version v%s is deprecated and cannot receive messages.", version)
		return
	}
	if s.online(one.ID) {
		complain(w, http.StatusConflict, "TaskAgentSessionConflictException", "a session for this runner already exists")
		return
	}
	s.endSessions(one.ID)
	id := random(32)
	s.sessions[id] = &session{runner: one.ID, last: s.options.Now()}
	one.Version = version
	s.kept(w, http.StatusOK, map[string]any{"sessionId": id})
}

func (s *Server) closeSession(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.caller(w, r)
	if one == nil {
		return
	}
	if held := s.sessions[r.PathValue("session")]; held != nil && held.runner == one.ID {
		delete(s.sessions, r.PathValue("session"))
	}
	w.WriteHeader(http.StatusNoContent)
}

// Types of the messages that a listener gets.
const (
	MessageUpdate = "AgentRefresh" // replace yourself by a newer version
	MessageExit   = "LabExit"      // ours: end with the code in the body
)

// message answers with the next order, or after a while that there is none.
func (s *Server) message(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.caller(w, r)
	if one == nil {
		return
	}
	held := s.sessions[r.FormValue("sessionId")]
	if held == nil || held.runner != one.ID {
		complain(w, http.StatusNotFound, "TaskAgentSessionExpiredException", "no such session")
		return
	}
	held.polling++
	defer func() {
		held.polling--
		held.last = s.options.Now()
	}()
	end := time.NewTimer(pollLasts)
	defer end.Stop()
	for {
		repo, now := s.byID(one.ID)
		if repo == nil || s.sessions[r.FormValue("sessionId")] != held {
			complain(w, http.StatusUnauthorized, "UnauthorizedException", "the registration was not found")
			return
		}
		if len(now.Orders) > 0 {
			kind, body := split(now.Orders[0])
			now.Orders = now.Orders[1:]
			held.next++
			s.kept(w, http.StatusOK, map[string]any{"messageId": held.next, "messageType": kind, "body": body})
			return
		}
		if !s.wait(r, end.C) {
			w.WriteHeader(http.StatusAccepted)
			return
		}
	}
}

// wait lets others work until something has changed, and tells whether it has.
func (s *Server) wait(r *http.Request, end <-chan time.Time) bool {
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-changed:
		return true
	case <-end:
	case <-r.Context().Done():
	}
	return false
}

// wake lets waiting questions look again.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// online tells whether a runner asks for work.
func (s *Server) online(id int) bool {
	for _, held := range s.sessions {
		if held.runner == id && (held.polling > 0 || s.options.Now().Sub(held.last) < stillOnline) {
			return true
		}
	}
	return false
}

func (s *Server) endSessions(id int) {
	for key, held := range s.sessions {
		if held.runner == id {
			delete(s.sessions, key)
		}
	}
}

// disconnect takes from a runner's listener all that it holds.
func (s *Server) disconnect(id int) {
	s.endSessions(id)
	for token, owner := range s.access {
		if owner == id {
			delete(s.access, token)
		}
	}
	s.wake()
}
