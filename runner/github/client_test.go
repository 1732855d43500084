package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

const canary = "canary-token-77"

// api answers one request after another; the last answer is given for ever.
type api struct {
	*httptest.Server
	answers []func(http.ResponseWriter)
	asked   []string
	waited  []time.Duration
}

func newAPI(t *testing.T, answers ...func(http.ResponseWriter)) (*api, *Client) {
	a := &api{answers: answers}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary {
			t.Errorf("authorization is %q", r.Header.Get("Authorization"))
		}
		a.asked = append(a.asked, r.Method+" "+r.URL.RequestURI())
		a.answers[min(len(a.asked), len(a.answers))-1](w)
	}))
	t.Cleanup(a.Close)
	c, err := New(Options{
		API: a.URL + "/api/v3/", Repository: "me/app", Token: secrets.NewValue(canary),
		Pause: func(_ context.Context, d time.Duration) error { a.waited = append(a.waited, d); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func status(code int, headers ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"message": "GitHub says %d", "documentation_url": "x"}`, code)
	}
}

func body(text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { fmt.Fprint(w, text) }
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	good := body(`{"private": true}`)
	for name, c := range map[string]struct {
		answers []func(http.ResponseWriter)
		waited  []time.Duration
	}{
		"429 with Retry-After":       {[]func(http.ResponseWriter){status(429, "Retry-After", "7"), good}, []time.Duration{7 * time.Second}},
		"500 twice":                  {[]func(http.ResponseWriter){status(500), status(502), good}, []time.Duration{time.Second, 2 * time.Second}},
		"403 that is about the rate": {[]func(http.ResponseWriter){status(403, "Retry-After", "3"), good}, []time.Duration{3 * time.Second}},
	} {
		a, client := newAPI(t, c.answers...)
		private, err := client.Private(t.Context())
		if err != nil || !private || fmt.Sprint(a.waited) != fmt.Sprint(c.waited) {
			t.Errorf("%s: %v, %v, waited %v", name, private, err, a.waited)
		}
	}
}

func TestRefusalsSayWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		answer func(http.ResponseWriter)
		code   fault.Code
		next   string
		asked  int
	}{
		{status(401), fault.GitHubRefused, "expired", 1},
		{status(403), fault.GitHubRefused, "Administration: read and write", 1},
		{status(404), fault.GitHubRefused, "runner.repository", 1},
		{status(422), fault.GitHubRefused, "", 1},
		{status(500), fault.GitHubUnavailable, "same command again", attempts},
		{status(429), fault.GitHubUnavailable, "same command again", attempts},
		{status(429, "Retry-After", "3600"), fault.GitHubUnavailable, "1h0m0s", 1},
		{body(`<html>captive portal</html>`), fault.GitHubUnavailable, "runner.api", 1},
		{body(`{"private": true} and more`), fault.GitHubUnavailable, "runner.api", 1},
		{body(`{}`), fault.GitHubUnavailable, "runner.api", 1},
	} {
		a, client := newAPI(t, c.answer)
		_, err := client.Private(t.Context())
		if fault.CodeOf(err) != c.code || !strings.Contains(fault.NextOf(err), c.next) || len(a.asked) != c.asked {
			t.Errorf("%v (%s), next %q, asked %d times", err, fault.CodeOf(err), fault.NextOf(err), len(a.asked))
		}
		if text := fmt.Sprintf("%v %+v %s %s", err, err, fault.NextOf(err), fault.EvidenceOf(err)); strings.Contains(text, canary) {
			t.Errorf("the token is in %q", text)
		}
	}
}

func TestWithoutATokenNothingIsAsked(t *testing.T) {
	c, err := New(Options{API: "http://127.0.0.1:1", Repository: "me/app"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Private(t.Context())
	if fault.CodeOf(err) != fault.GitHubToken || !strings.Contains(fault.NextOf(err), "GITHUB_TOKEN") {
		t.Errorf("%v, next %q", err, fault.NextOf(err))
	}
	asked := 0
	a, _ := newAPI(t, body(`{"private": false}`))
	c, err = New(Options{API: a.URL, Repository: "me/app", Ask: func(context.Context) (secrets.Value, error) { asked++; return secrets.NewValue(canary), nil }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Private(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if asked != 1 || !c.HasToken() {
		t.Errorf("asked for a token %d times", asked)
	}
}

func TestCancellingEndsTheWait(t *testing.T) {
	a, c := newAPI(t, status(500))
	ctx, cancel := context.WithCancel(t.Context())
	c.opts.Pause = func(context.Context, time.Duration) error { cancel(); return ctx.Err() }
	if _, err := c.Private(ctx); !errors.Is(err, context.Canceled) || len(a.asked) != 1 {
		t.Errorf("%v after %d requests", err, len(a.asked))
	}
}

func TestADownloadWithoutADigestIsRefused(t *testing.T) {
	const file = "actions-runner-linux-x64-2.336.0.tar.gz"
	good := fmt.Sprintf(`[{"os":"linux","architecture":"x64","download_url":"https://example.org/x","filename":%q,"sha256_checksum":%q}]`, file, strings.Repeat("a", 64))
	_, c := newAPI(t, body(good))
	d, err := c.Download(t.Context())
	if err != nil || d.Version != "2.336.0" {
		t.Errorf("%+v, %v", d, err)
	}
	for _, bad := range []string{
		`[]`, `{}`, strings.Replace(good, strings.Repeat("a", 64), "", 1), strings.Replace(good, "https://", "file://", 1),
		strings.Replace(good, file, "../../etc/passwd", 1), strings.Replace(good, "x64\"", "arm64\"", 1),
	} {
		_, c := newAPI(t, body(bad))
		if _, err := c.Download(t.Context()); fault.CodeOf(err) != fault.GitHubUnavailable {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestARunnerIsFoundByItsWholeName(t *testing.T) {
	a, c := newAPI(t, body(`{"total_count":2,"runners":[
		{"id":3,"name":"oldpc-2","status":"online","busy":false,"labels":[]},
		{"id":7,"name":"oldpc","status":"offline","busy":true,"version":"2.336.0","labels":[{"name":"z","type":"custom"},{"name":"self-hosted","type":"read-only"},{"name":"a","type":"custom"}]}]}`))
	r, err := c.Runner(t.Context(), "oldpc")
	if err != nil || r == nil || r.ID != 7 || r.Online() || !r.Busy || fmt.Sprint(r.Custom()) != "[a z]" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := c.Runner(t.Context(), "old"); err != nil || r != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if !strings.HasPrefix(a.asked[0], "GET /api/v3/repos/me/app/actions/runners?") {
		t.Errorf("asked %q", a.asked[0])
	}
}

func TestDeletingWhatIsNotThereIsDone(t *testing.T) {
	_, c := newAPI(t, status(404))
	if err := c.Delete(t.Context(), 7); err != nil {
		t.Error(err)
	}
	if _, tracked, err := c.Deprecation(t.Context(), "2.336.0"); tracked || err != nil {
		t.Errorf("an untracked version: %v, %v", tracked, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"total_count":1,"runners":[{"id":1,"name":"a","status":"online"}]}`))
	f.Add([]byte(`{"token":"x","expires_at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`[{"os":"linux"}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l runnerList
		if decode(data, &l) == nil {
			for _, r := range l.Runners {
				if r.ID <= 0 || r.Name == "" {
					t.Errorf("believed %+v", r)
				}
			}
		}
		var r registration
		if decode(data, &r) == nil && strings.ContainsAny(r.Token, "\n\r \x00") {
			t.Errorf("believed the token %q", r.Token)
		}
	})
}
