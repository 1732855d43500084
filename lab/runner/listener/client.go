package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client asks GitHub and the runners' service.
type client struct{ http http.Client }

// refused is an answer that says no.
type refused struct {
	request string
	status  int
	body    string
	kind    string // the service's name for what went wrong
	id      string
}

func (r *refused) Error() string {
	status := strings.ReplaceAll(http.StatusText(r.status), " ", "")
	return fmt.Sprintf("Http response code: %s from '%s' (Request Id: %s)\n%s", status, r.request, r.id, r.body)
}

// is tells whether an error is an answer of that kind.
func is(err error, kind string) bool {
	var no *refused
	return errors.As(err, &no) && no.kind == kind
}

// call sends a request and decodes the answer into what is given, if anything.
// authorization is the header's whole value.
func (c *client) call(ctx context.Context, method, address, authorization string, body, into any) error {
	var payload io.Reader
	kind := ""
	switch b := body.(type) {
	case nil:
	case url.Values:
		payload, kind = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return fmt.Errorf("ask GitHub: %w", err)
		}
		payload, kind = bytes.NewReader(text), "application/json"
	}
	request, err := http.NewRequestWithContext(ctx, method, address, payload)
	if err != nil {
		return fmt.Errorf("ask GitHub: %w", err)
	}
	request.Header.Set("User-Agent", "GitHubActionsRunner-linux-x64/"+version)
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask GitHub: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<22))
	if err != nil {
		return fmt.Errorf("ask GitHub: %w", err)
	}
	if answer.StatusCode >= 300 {
		return refusal(method+" "+address, answer, text)
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read GitHub's answer: %w", err)
	}
	return nil
}

func refusal(request string, answer *http.Response, text []byte) *refused {
	var said struct {
		TypeName string `json:"typeName"`
		Error    string `json:"error"`
		Message  string `json:"message"`
	}
	_ = json.Unmarshal(text, &said) // what is not JSON has no name
	kind := said.TypeName + said.Error
	return &refused{request: request, status: answer.StatusCode, body: strings.TrimSpace(string(text)), kind: kind, id: answer.Header.Get("X-GitHub-Request-Id")}
}

func newClient() *client { return &client{http.Client{Timeout: 2 * time.Minute}} }

// label, agent and the like are the service's words.
type label struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type publicKey struct {
	Exponent []byte `json:"exponent"`
	Modulus  []byte `json:"modulus"`
}

type authorization struct {
	ClientID string    `json:"clientId,omitempty"`
	URL      string    `json:"authorizationUrl,omitempty"`
	Key      publicKey `json:"publicKey"`
}

type agent struct {
	ID            int           `json:"id,omitempty"`
	Name          string        `json:"name"`
	Version       string        `json:"version"`
	Labels        []label       `json:"labels"`
	Ephemeral     bool          `json:"ephemeral"`
	DisableUpdate bool          `json:"disableUpdate"`
	Authorization authorization `json:"authorization"`
}

// service is the runners' service of a repository, opened by a token.
type service struct {
	client *client
	url    string
	token  string
}

// exchange turns a registration or removal token into the service.
func (c *client) exchange(ctx context.Context, repository, token, event string) (service, error) {
	parsed, err := url.Parse(repository)
	if err != nil || parsed.Host == "" {
		return service{}, fmt.Errorf("Invalid configuration provided for url: %q", repository)
	}
	api := parsed.Scheme + "://" + parsed.Host + "/api/v3"
	if parsed.Host == "github.com" {
		api = "https://api.github.com"
	}
	var answer struct {
		URL   string `json:"url"`
		Token string `json:"token"`
	}
	body := map[string]string{"url": repository, "runner_event": event}
	if err := c.call(ctx, http.MethodPost, api+"/actions/runner-registration", "RemoteAuth "+token, body, &answer); err != nil {
		return service{}, err
	}
	return service{client: c, url: answer.URL, token: answer.Token}, nil
}

func (s service) pool(path string) string { return s.url + "_apis/distributedtask/pools/1/" + path }

// find returns the runner of that name, if there is one.
func (s service) find(ctx context.Context, name string) (agent, bool, error) {
	var found struct{ Value []agent }
	address := s.pool("agents?" + url.Values{"agentName": {name}}.Encode())
	if err := s.client.call(ctx, http.MethodGet, address, "Bearer "+s.token, nil, &found); err != nil {
		return agent{}, false, err
	}
	if len(found.Value) == 0 {
		return agent{}, false, nil
	}
	return found.Value[0], true, nil
}

// enrol adds a runner, or replaces the one with its ID.
func (s service) enrol(ctx context.Context, asked agent) (agent, error) {
	method, path := http.MethodPost, "agents"
	if asked.ID != 0 {
		method, path = http.MethodPut, fmt.Sprintf("agents/%d", asked.ID)
	}
	var made agent
	err := s.client.call(ctx, method, s.pool(path), "Bearer "+s.token, asked, &made)
	return made, err
}

func (s service) remove(ctx context.Context, id int) error {
	return s.client.call(ctx, http.MethodDelete, s.pool(fmt.Sprintf("agents/%d", id)), "Bearer "+s.token, nil, nil)
}
