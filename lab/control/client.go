package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client talks to a server in the background.
type Client struct{ http http.Client }

// ErrNotServing means that nobody answers at the socket.
var ErrNotServing = errors.New("the lab's link is not running: `lab up` starts it")

// Dial makes a client; it connects with each call.
func Dial(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 10 * time.Second}}
}

// Info asks what is served and what the link has seen.
func (c *Client) Info(ctx context.Context) (Info, error) {
	return asked[Info](c.do(ctx, http.MethodGet, "/info", nil))
}

// asked reads an answer.
func asked[T any](body []byte, err error) (T, error) {
	var answer T
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer, fmt.Errorf("ask the link: %w", err)
	}
	return answer, nil
}

// Turn turns a knob of the link.
func (c *Client) Turn(ctx context.Context, verb, value, way string) error {
	_, err := c.do(ctx, http.MethodPost, "/link", url.Values{"verb": {verb}, "value": {value}, "way": {way}})
	return err
}

// GitHub tells the stand-in for GitHub to do something, and returns as JSON what
// it shows.
func (c *Client) GitHub(ctx context.Context, words ...string) ([]byte, error) {
	return c.do(ctx, http.MethodPost, "/github", url.Values{"word": words})
}

// Quit ends the server.
func (c *Client) Quit(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodPost, "/quit", nil)
	return err
}

func (c *Client) do(ctx context.Context, method, path string, form url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://lab"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask the link: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := c.http.Do(request)
	var nobody *net.OpError
	if errors.As(err, &nobody) && nobody.Op == "dial" {
		return nil, ErrNotServing
	}
	if err != nil {
		return nil, fmt.Errorf("ask the link: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the link: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}
