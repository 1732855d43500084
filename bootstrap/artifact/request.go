package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// defaultClient takes the proxy from the environment and does not follow a
// redirect from HTTPS to HTTP: the list of digests comes this way too.
func defaultClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = http.ProxyFromEnvironment
	return &http.Client{
		Transport: t,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
				return permanent{fmt.Errorf("redirected from HTTPS to %s", next.URL.Redacted())}
			}
			if len(via) >= 10 {
				return permanent{errors.New("redirected ten times")}
			}
			return nil
		},
	}
}

// permanent is an answer that another attempt does not change.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// patience says how long to go on without progress. All parts follow from the
// length of silence that ends the whole.
type patience struct{ stall time.Duration }

// silence ends one attempt; a new connection often gets further.
func (p patience) silence() time.Duration { return p.stall / 4 }

// pause is the wait before attempt n, from a 240th of the stall doubled up to
// an eighth: half a second to fifteen seconds of two minutes.
func (p patience) pause(n int) time.Duration {
	return min(p.stall/240<<min(n, 10), p.stall/8)
}

// persist repeats try until it succeeds, fails for good, or until nothing has
// moved for the stall. try reports whether it got further than any before.
func (s *Store) persist(ctx context.Context, at string, try func() (moved bool, err error)) error {
	last, n := time.Now(), 0
	for {
		moved, err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("fetch %s: %w", at, context.Cause(ctx))
		}
		var final permanent
		if errors.As(err, &final) {
			return fetchError(at, final.error)
		}
		if moved {
			last, n = time.Now(), 0
		}
		pause := s.patience.pause(n)
		if time.Since(last)+pause >= s.patience.stall {
			return fetchError(at, fmt.Errorf("nothing has come for %s: %w", s.patience.stall, err))
		}
		if n++; n == 2 && s.opts.Tell != nil {
			// The first failure passes by itself too often to be news.
			s.opts.Tell(fmt.Sprintf("fetch %s: %v; trying again for %s", at, err, s.patience.stall))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("fetch %s: %w", at, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// ask makes a request without a body of interest, with patience. The caller
// closes the body.
func (s *Store) ask(ctx context.Context, client *http.Client, method, at string, header http.Header) (*http.Response, error) {
	var resp *http.Response
	err := s.persist(ctx, at, func() (bool, error) {
		var err error
		resp, err = s.once(ctx, client, method, at, header)
		return false, err
	})
	return resp, err
}

// once makes one request. Its silence is timed until the headers are there,
// and from then on by whoever reads the body.
func (s *Store) once(ctx context.Context, client *http.Client, method, at string, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(s.patience.silence(), func() { cancel(silent{}) })
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		cancel(nil)
		return nil, permanent{err}
	}
	if header != nil {
		req.Header = header.Clone()
	}
	// A compressed body would make ranges and lengths those of the wrong bytes.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "ssg-bootstrap")
	resp, err := client.Do(req)
	if err != nil {
		cause := context.Cause(ctx)
		cancel(nil)
		watch.Stop()
		if cause == error(silent{}) {
			return nil, cause
		}
		return nil, err
	}
	resp.Body = &watched{body: resp.Body, watch: watch, limit: s.patience.silence(), cancel: cancel, ctx: ctx}
	if err := statusError(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// silent is the cause of a request that was given up for its silence.
type silent struct{}

func (silent) Error() string { return "the server is silent" }

// watched ends a body that brings nothing for too long.
type watched struct {
	body   io.ReadCloser
	watch  *time.Timer
	limit  time.Duration
	cancel context.CancelCauseFunc
	ctx    context.Context
}

func (w *watched) Read(p []byte) (int, error) {
	w.watch.Reset(w.limit)
	n, err := w.body.Read(p)
	w.watch.Stop()
	if err != nil && context.Cause(w.ctx) == error(silent{}) {
		err = silent{}
	}
	return n, err
}

func (w *watched) Close() error {
	w.watch.Stop()
	err := w.body.Close()
	w.cancel(nil)
	return err
}

// statusError sorts the answers: what may pass is tried again.
func statusError(resp *http.Response) error {
	code := resp.StatusCode
	err := fmt.Errorf("the server answers %s", strings.TrimSpace(resp.Status))
	switch {
	case code < 400 || code == http.StatusRequestedRangeNotSatisfiable:
		return nil
	case code == http.StatusNotFound || code == http.StatusGone:
		return permanent{fault.New(fault.UnknownVersion, "", "%w", err)}
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return err
	}
	return permanent{err}
}

func fetchError(at string, err error) error {
	code := fault.FetchFailed
	if known := fault.CodeOf(err); known != fault.Unclassified {
		code = known
	}
	return &fault.Error{Code: code, Op: "fetch " + at, Err: err}
}
