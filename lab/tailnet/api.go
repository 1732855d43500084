package tailnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Scopes of the API that there is a route for.
const (
	scopeKeys    = "auth_keys"
	scopeDevices = "devices:core"
	scopePolicy  = "policy_file"
)

// token is what the API gives a client for an hour.
type token struct {
	scopes  []string
	expires time.Time
}

// refusal is an error that the API answers.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// route answers one request of the API with a value to encode; nil is an empty answer.
type route func(r *http.Request) (any, error)

func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/oauth/token", s.recorded(false, s.grant))
	for pattern, is := range map[string]struct {
		scope string
		write bool
		route route
	}{
		"GET /api/v2/tailnet/{tailnet}/keys":          {scopeKeys, false, s.listKeys},
		"POST /api/v2/tailnet/{tailnet}/keys":         {scopeKeys, true, s.createKey},
		"GET /api/v2/tailnet/{tailnet}/keys/{id}":     {scopeKeys, false, s.getKey},
		"DELETE /api/v2/tailnet/{tailnet}/keys/{id}":  {scopeKeys, true, s.deleteKey},
		"GET /api/v2/tailnet/{tailnet}/devices":       {scopeDevices, false, s.listDevices},
		"GET /api/v2/device/{id}":                     {scopeDevices, false, s.getDevice},
		"DELETE /api/v2/device/{id}":                  {scopeDevices, true, s.deleteDevice},
		"POST /api/v2/device/{id}/tags":               {scopeDevices, true, s.setTags},
		"POST /api/v2/device/{id}/key":                {scopeDevices, true, s.setKey},
		"POST /api/v2/device/{id}/name":               {scopeDevices, true, s.setName},
		"POST /api/v2/device/{id}/ip":                 {scopeDevices, true, s.setIP},
		"POST /api/v2/device/{id}/authorized":         {scopeDevices, true, s.setAuthorized},
		"POST /api/v2/device/{id}/expire":             {scopeDevices, true, s.expire},
		"GET /api/v2/tailnet/{tailnet}/acl":           {scopePolicy, false, s.getPolicy},
		"POST /api/v2/tailnet/{tailnet}/acl":          {scopePolicy, true, s.setPolicy},
		"POST /api/v2/tailnet/{tailnet}/acl/validate": {scopePolicy, false, s.validatePolicy},
	} {
		mux.HandleFunc(pattern, s.recorded(is.write, s.allowed(is.scope, is.route)))
	}
	mux.HandleFunc("/", s.recorded(false, func(*http.Request) (any, error) { return nil, refuse(http.StatusNotFound, "404 page not found") }))
	return mux
}

// recorded answers by a route and notes the request.
func (s *Server) recorded(write bool, answer route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := s.faulty(r, answer)
		status := http.StatusOK
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			status, value = refused.status, map[string]string{"message": refused.message}
		case err != nil:
			status, value = http.StatusInternalServerError, map[string]string{"message": err.Error()}
		}
		s.book.add(Entry{Part: apiPart, Method: r.Method, Path: r.URL.Path, Status: status, Write: write})
		if text, ok := value.(policyText); ok {
			w.Header().Set("Content-Type", "application/hujson")
			w.Header().Set("ETag", text.etag())
			_, _ = io.WriteString(w, string(text))
			return
		}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if value != nil {
			_ = json.NewEncoder(w).Encode(value)
		}
	}
}

// faulty answers with the next fault that was asked for instead, if there is one.
func (s *Server) faulty(r *http.Request, answer route) (any, error) {
	s.mu.Lock()
	var fault int
	if len(s.faults) > 0 {
		fault, s.faults = s.faults[0], s.faults[1:]
	}
	s.mu.Unlock()
	if fault != 0 {
		return nil, refuse(fault, "%s", http.StatusText(fault))
	}
	return answer(r)
}

// allowed asks for a token with the scope.
func (s *Server) allowed(scope string, answer route) route {
	return func(r *http.Request) (any, error) {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		held, ok := s.tokens[given]
		s.mu.Unlock()
		if !ok || s.now().After(held.expires) {
			return nil, refuse(http.StatusUnauthorized, "API token invalid")
		}
		if !slices.Contains(held.scopes, scope) {
			return nil, refuse(http.StatusForbidden, "calling actor does not have enough permissions to perform this function")
		}
		return answer(r)
	}
}

// grant gives a token for the client's secret.
func (s *Server) grant(r *http.Request) (any, error) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	client := s.state.Client
	if id != client.ID || secret != client.Secret {
		return nil, refuse(http.StatusUnauthorized, "API token invalid")
	}
	scopes := client.Scopes
	if asked := strings.Fields(r.FormValue("scope")); len(asked) > 0 {
		for _, scope := range asked {
			if !slices.Contains(client.Scopes, scope) {
				return nil, refuse(http.StatusBadRequest, "requested scope %s is not granted to the client", scope)
			}
		}
		scopes = asked
	}
	text := "tskey-api-" + randomText(32)
	s.tokens[text] = token{scopes: scopes, expires: s.now().Add(time.Hour)}
	return map[string]any{"access_token": text, "token_type": "Bearer", "expires_in": 3600, "scope": strings.Join(scopes, " ")}, nil
}

// body decodes what a client sent.
func body(r *http.Request, to any) error {
	if err := json.NewDecoder(io.LimitReader(r.Body, messageLimit)).Decode(to); err != nil {
		return refuse(http.StatusBadRequest, "cannot read the request: %v", err)
	}
	return nil
}
