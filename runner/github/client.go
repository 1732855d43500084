// Package github asks GitHub for what a self-hosted runner needs.
//
// It keeps the promise that GitHub is asked politely and told nothing it need
// not know: an answer to wait is obeyed within bounds, what is refused is
// explained with the right that is missing, every answer is checked before it
// is believed, and the token is in no error, no log and no address.
package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Options configure a Client.
type Options struct {
	// API is the API's address, as in https://api.github.com.
	API string
	// Repository is owner/name.
	Repository string
	// Token is a personal access token with the right to administer the
	// repository.
	Token secrets.Value
	// Ask asks the user for one where there is none, once; nil for nobody.
	Ask func(ctx context.Context) (secrets.Value, error)
	// HTTP makes the requests; nil is a client that respects HTTPS_PROXY.
	HTTP *http.Client
	// Pause waits between two attempts; nil waits on the clock.
	Pause func(context.Context, time.Duration) error
	// Tell is told in a sentence that it takes longer; nil for nobody.
	Tell func(text string)
}

// Client speaks for one repository. It is safe for use by several goroutines.
type Client struct {
	opts Options
	base string

	mu    sync.Mutex
	token secrets.Value
}

// New makes a Client; it asks nothing yet.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.API)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fault.New(fault.ConfigInvalid, "correct runner.api in the configuration", "%q is no address of an API", o.API)
	}
	owner, name, ok := strings.Cut(o.Repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, fault.New(fault.ConfigInvalid, "set runner.repository to owner/name", "%q is no repository", o.Repository)
	}
	if o.HTTP == nil {
		o.HTTP = defaultHTTP()
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	base := strings.TrimRight(o.API, "/") + "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name)
	return &Client{opts: o, base: base, token: o.Token}, nil
}

// defaultHTTP follows no redirect: the API has none on these routes, and one to
// another host would carry the token there.
func defaultHTTP() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = http.ProxyFromEnvironment
	return &http.Client{
		Transport:     t,
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// HasToken reports whether there is a token to ask with.
func (c *Client) HasToken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.token.Empty()
}

// authorize returns the token, which the user may be asked for.
func (c *Client) authorize(ctx context.Context) (secrets.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token.Empty() && c.opts.Ask != nil {
		given, err := c.opts.Ask(ctx)
		if err != nil && fault.CodeOf(err) != fault.NeedsAnswer {
			return given, err
		}
		c.token = given
	}
	if c.token.Empty() {
		return c.token, NoToken(c.opts.Repository)
	}
	return c.token, nil
}

// Repository is owner/name.
func (c *Client) Repository() string { return c.opts.Repository }

// NoToken is the failure of a run that needs GitHub and has no token.
func NoToken(repository string) error {
	return fault.New(fault.GitHubToken,
		"set GITHUB_TOKEN to a fine-grained token for "+repository+" with the permission Administration: read and write",
		"GitHub is to be asked about the runner of %s, and neither GITHUB_TOKEN nor GH_TOKEN is set", repository)
}

// refused is an answer that another attempt does not change.
type refused struct {
	status  int
	message string
}

func (r *refused) Error() string {
	text := fmt.Sprintf("GitHub answers %d %s", r.status, http.StatusText(r.status))
	if r.message != "" {
		text += ": " + r.message
	}
	return text
}

// notFound reports whether GitHub said that there is no such thing.
func notFound(err error) bool {
	var r *refused
	return errors.As(err, &r) && r.status == http.StatusNotFound
}
