package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

const (
	// attempts is how often one request is made in all.
	attempts = 5
	// longest is the longest wait between two attempts. GitHub's limits may ask
	// for an hour; who runs the program is told instead.
	longest = 90 * time.Second
	// most is more than any of the answers has.
	most = 4 << 20
	// apiVersion is the one that the routes below were written for; the
	// deprecations need a later one and say so themselves.
	apiVersion = "2022-11-28"
)

// call makes a request and decodes the answer into what decode makes of it. op
// says what is done, for messages.
func (c *Client) call(ctx context.Context, op, method, path, version string, want int, into any) error {
	token, err := c.authorize(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	var last error
	for n := range attempts {
		wait, err := c.once(ctx, token, method, path, version, want, into)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", op, context.Cause(ctx))
		}
		if wait < 0 {
			return c.explain(op, err)
		}
		last = err
		if wait == 0 {
			wait = time.Second << n
		}
		if wait > longest {
			return c.later(op, err, wait)
		}
		if n == attempts-1 {
			break
		}
		if c.opts.Tell != nil {
			c.opts.Tell(fmt.Sprintf("%s: %v; trying again in %s", op, err, wait.Round(time.Second)))
		}
		if err := c.opts.Pause(ctx, wait); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	return &fault.Error{Code: fault.GitHubUnavailable, Op: op, Err: fmt.Errorf("tried %d times: %w", attempts, last)}
}

// once makes one request. wait is negative when another attempt is of no use,
// 0 when its time is the caller's to choose, else what GitHub asks for.
func (c *Client) once(ctx context.Context, token secrets.Value, method, path, version string, want int, into any) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return -1, err
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", version)
	req.Header.Set("User-Agent", "ssg-bootstrap")
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != want {
		return patience(resp), &refused{resp.StatusCode, message(body)}
	}
	if into == nil {
		return 0, nil
	}
	return -1, decode(body, into)
}

// patience says whether an answer may pass, and when.
func patience(resp *http.Response) time.Duration {
	limited := resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-RateLimit-Remaining") == "0"
	switch code := resp.StatusCode; {
	case code >= 500, code == http.StatusTooManyRequests:
	case code == http.StatusForbidden && limited:
	default:
		return -1
	}
	if s := resp.Header.Get("Retry-After"); s != "" {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 {
			return time.Duration(n) * time.Second
		}
		if at, err := http.ParseTime(s); err == nil {
			return max(time.Until(at), time.Second)
		}
	}
	if resp.Header.Get("X-RateLimit-Remaining") == "0" {
		if n, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return max(time.Until(time.Unix(n, 0)), time.Second)
		}
	}
	return 0
}

// message is what GitHub says about a refusal.
func message(body []byte) string {
	var m struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	text := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, m.Message))
	return string(text[:min(len(text), 200)])
}

// checked is an answer that knows whether it makes sense.
type checked interface{ check() error }

// decode reads one JSON value and nothing else, and checks it. Fields that are
// not known are left out: GitHub adds some from time to time.
func decode(body []byte, into any) error {
	if len(body) > most {
		return strange(fmt.Errorf("more than %d bytes", most))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(into); err != nil {
		return strange(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return strange(errors.New("something follows the answer"))
	}
	if c, ok := into.(checked); ok {
		if err := c.check(); err != nil {
			return strange(err)
		}
	}
	return nil
}

func strange(err error) error {
	return &fault.Error{
		Code: fault.GitHubUnavailable, Err: fmt.Errorf("this is no answer of GitHub's API: %w", err),
		Next: "check runner.api in the configuration; a proxy or a captive portal may have answered",
	}
}

// explain gives a refusal its code and the right that is missing.
func (c *Client) explain(op string, err error) error {
	var r *refused
	if !errors.As(err, &r) {
		return fmt.Errorf("%s: %w", op, err)
	}
	rights := "the token needs the permission Administration: read and write on " + c.opts.Repository + " (a classic token: the scope repo, of somebody who administers it)"
	next := ""
	switch r.status {
	case http.StatusUnauthorized:
		next = "GitHub does not know the token in GITHUB_TOKEN, or it has expired: make a new one; " + rights
	case http.StatusForbidden:
		next = rights + "; a token that may only read cannot register"
	case http.StatusNotFound:
		next = "check runner.repository; GitHub also hides what a token may not see: " + rights
	default:
		return &fault.Error{Code: fault.GitHubRefused, Op: op, Err: err}
	}
	return &fault.Error{Code: fault.GitHubRefused, Op: op, Err: err, Next: next}
}

func (c *Client) later(op string, err error, wait time.Duration) error {
	return &fault.Error{
		Code: fault.GitHubUnavailable, Op: op, Err: err,
		Next: fmt.Sprintf("GitHub asks to wait for %s: run the same command again after that; finished work is not repeated", wait.Round(time.Second)),
	}
}
