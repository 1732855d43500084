package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Download is a runner's program as GitHub offers it to this repository now.
type Download struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	URL          string `json:"download_url"`
	File         string `json:"filename"`
	SHA256       string `json:"sha256_checksum"`
	// Version is read from the file's name.
	Version string `json:"-"`
}

const (
	filePattern    = `^actions-runner-linux-x64-([0-9]+\.[0-9]+\.[0-9]+)\.tar\.gz$`
	digestPattern  = `^[0-9a-f]{64}$`
	versionPattern = `^[0-9]+\.[0-9]+\.[0-9]+$`
)

// Download returns the program for Linux on x86-64. It is asked anew at each
// run: GitHub refuses runners that are months old.
func (c *Client) Download(ctx context.Context) (Download, error) {
	const op = "ask GitHub which runner it offers"
	var all []Download
	if err := c.call(ctx, op, http.MethodGet, "/actions/runners/downloads", apiVersion, http.StatusOK, &all); err != nil {
		return Download{}, err
	}
	for _, d := range all {
		if d.OS != "linux" || d.Architecture != "x64" {
			continue
		}
		if err := d.check(); err != nil {
			return Download{}, fmt.Errorf("%s: %w", op, strange(err))
		}
		m := regexp.MustCompile(filePattern).FindStringSubmatch(d.File)
		d.Version = m[1]
		return d, nil
	}
	return Download{}, fmt.Errorf("%s: %w", op, strange(errors.New("there is none for linux on x64")))
}

func (d Download) check() error {
	u, err := url.Parse(d.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%q is no address to download from", d.URL)
	case !regexp.MustCompile(filePattern).MatchString(d.File):
		return fmt.Errorf("%q is not the name of a runner's archive", d.File)
	case !regexp.MustCompile(digestPattern).MatchString(d.SHA256):
		// A program that runs every push is not installed unchecked.
		return fmt.Errorf("%s comes without a SHA-256", d.File)
	}
	return nil
}

// Runner is a runner as GitHub knows it.
type Runner struct {
	ID      int64   `json:"id"`
	Name    string  `json:"name"`
	Status  string  `json:"status"`
	Busy    bool    `json:"busy"`
	Version string  `json:"version"`
	Labels  []Label `json:"labels"`
}

// Label is one of a runner's labels.
type Label struct {
	Name string `json:"name"`
	// Type is "custom", or "read-only" for those that every runner has.
	Type string `json:"type"`
}

// Online reports whether the runner listens for jobs.
func (r Runner) Online() bool { return r.Status == "online" }

// Custom returns the labels that were given to the runner, sorted.
func (r Runner) Custom() []string {
	var out []string
	for _, l := range r.Labels {
		if l.Type == "custom" {
			out = append(out, l.Name)
		}
	}
	slices.Sort(out)
	return out
}

type runnerList struct {
	Total   *int     `json:"total_count"`
	Runners []Runner `json:"runners"`
}

func (l *runnerList) check() error {
	if l.Total == nil {
		return errors.New("total_count is missing")
	}
	for _, r := range l.Runners {
		if r.ID <= 0 || r.Name == "" || r.Status == "" {
			return fmt.Errorf("a runner without id, name or status: %+v", r)
		}
	}
	return nil
}

// Runner returns the runner of a name; nil if GitHub knows none.
func (c *Client) Runner(ctx context.Context, name string) (*Runner, error) {
	var l runnerList
	path := "/actions/runners?per_page=100&name=" + url.QueryEscape(name)
	if err := c.call(ctx, "look for the runner "+name, http.MethodGet, path, apiVersion, http.StatusOK, &l); err != nil {
		return nil, err
	}
	for _, r := range l.Runners {
		// The filter may be one of a part of the name.
		if r.Name == name {
			return &r, nil
		}
	}
	return nil, nil
}

type registration struct {
	Token string `json:"token"`
}

func (r *registration) check() error {
	if !regexp.MustCompile(`^[!-~]+$`).MatchString(r.Token) {
		return errors.New("there is no token in it")
	}
	return nil
}

// RegistrationToken returns a token with which a runner is registered within
// the hour.
func (c *Client) RegistrationToken(ctx context.Context) (secrets.Value, error) {
	const op = "ask GitHub for a registration token"
	var r registration
	if err := c.call(ctx, op, http.MethodPost, "/actions/runners/registration-token", apiVersion, http.StatusCreated, &r); err != nil {
		return secrets.Value{}, err
	}
	return secrets.NewValue(r.Token), nil
}

// Delete makes GitHub forget a runner; one that it does not know is no error.
func (c *Client) Delete(ctx context.Context, id int64) error {
	path := "/actions/runners/" + strconv.FormatInt(id, 10)
	err := c.call(ctx, "have GitHub forget the runner", http.MethodDelete, path, apiVersion, http.StatusNoContent, nil)
	if notFound(err) {
		return nil
	}
	return err
}

type repository struct {
	Private *bool `json:"private"`
}

func (r *repository) check() error {
	if r.Private == nil {
		return errors.New("it does not say whether the repository is private")
	}
	return nil
}

// Private reports whether the repository is.
func (c *Client) Private(ctx context.Context) (bool, error) {
	var r repository
	err := c.call(ctx, "look at the repository "+c.opts.Repository, http.MethodGet, "", apiVersion, http.StatusOK, &r)
	return err == nil && *r.Private, err
}

// Deprecation says until when GitHub takes a version.
type Deprecation struct {
	Version string `json:"runner_version"`
	// Runtime ends its running, Registration its being registered; zero is not
	// known yet.
	Runtime      time.Time `json:"runtime_deprecates_at"`
	Registration time.Time `json:"registration_deprecates_at"`
}

func (d *Deprecation) check() error {
	if d.Version == "" {
		return errors.New("it does not say of which version it speaks")
	}
	return nil
}

// Deprecation returns when a version ends; ok is false where GitHub does not
// track it.
func (c *Client) Deprecation(ctx context.Context, version string) (d Deprecation, ok bool, err error) {
	if !regexp.MustCompile(versionPattern).MatchString(version) {
		return d, false, nil
	}
	// Known from another tool alone; this is the version of the API that has it.
	err = c.call(ctx, "ask GitHub how long runner "+version+" lasts", http.MethodGet,
		"/actions/runners/deprecations/"+version, "2026-03-10", http.StatusOK, &d)
	if notFound(err) {
		return d, false, nil
	}
	return d, err == nil, err
}
