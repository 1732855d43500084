package main

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
)

func TestUnitName(t *testing.T) {
	at := func(server, repository string) string {
		return unitRepository(settings{ServerURL: server, GitHubURL: repository})
	}
	for _, c := range []struct{ server, repository, want string }{
		{"https://pipelines.actions.githubusercontent.com/abc/", "https://github.com/omkar619-dev/studentsystemgo", "omkar619-dev-studentsystemgo"},
		{"https://pipelines.actions.githubusercontent.com/abc/", "https://github.com/owner/na+me/", "owner-na-me"},
		{"https://ghes.example.org/_services/pipelines/abc/", "https://ghes.example.org/owner/name", "_services"},
		{"http://10.0.2.100/omkar619-dev-studentsystemgo/", "http://10.0.2.100/omkar619-dev/studentsystemgo", "omkar619-dev-studentsystemgo"},
	} {
		if got := at(c.server, c.repository); got != c.want {
			t.Errorf("repository of %s at %s: %q, want %q", c.repository, c.server, got, c.want)
		}
	}
	if got, want := unitName("omkar619-dev-studentsystemgo", "old pc"), "actions.runner.omkar619-dev-studentsystemgo.old_pc.service"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	long, seen := strings.Repeat("r", 100), map[string]bool{}
	for range 20 {
		got := unitName(long, strings.Repeat("n", 64))
		seen[got] = true
		if len(got) > 150 || !strings.HasPrefix(got, "actions.runner."+long[:70]+".nnnn") || !strings.HasSuffix(got, ".service") {
			t.Fatalf("%q of %d", got, len(got))
		}
		number := strings.TrimSuffix(got[strings.LastIndex(got, "-")+1:], ".service")
		if len(number) != 4 || strings.Trim(number, "0123456789") != "" {
			t.Fatalf("%q ends in %q", got, number)
		}
	}
	if len(seen) == 1 {
		t.Error("long names always end in the same number")
	}
	if exact := unitName(strings.Repeat("r", 60), strings.Repeat("n", 66)); len(exact) != 150 || strings.Contains(exact, "-") {
		t.Errorf("%q of %d", exact, len(exact))
	}
}

// configured is a listener of a runner in a folder of the test's own, and what
// it prints.
func configured(t *testing.T, options github.Options, p pace) (*listener, *github.Server, *output) {
	t.Helper()
	options.Mirror = t.TempDir()
	server, err := github.New(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.MinVersion("0.0.0"); err != nil { // the version is the linker's to fill in
		t.Fatal(err)
	}
	hub := httptest.NewServer(server)
	t.Cleanup(hub.Close)
	out := &output{}
	i := installation{root: t.TempDir(), out: out, complain: out, lookup: func(string) (string, bool) { return "", false }}
	token, err := server.Issue()
	if err != nil {
		t.Fatal(err)
	}
	service, err := newClient().exchange(t.Context(), hub.URL+"/"+github.DefaultRepository, token, "register")
	if err != nil {
		t.Fatal(err)
	}
	made, err := i.enrol(t.Context(), service, agent{Name: "oldpc", Version: version})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.write(settingsFile, settings{AgentID: made.ID, AgentName: made.Name, ServerURL: service.url}, 0o644); err != nil {
		t.Fatal(err)
	}
	l, done, err := i.listener(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	return l, server, out
}

type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func quick() pace {
	return pace{reconnect: time.Millisecond, conflict: time.Millisecond, conflictMax: 20 * time.Millisecond, skew: time.Millisecond, skewMax: 20 * time.Millisecond}
}

func TestClockThatIsOff(t *testing.T) {
	for off, refused := range map[time.Duration]bool{4 * time.Minute: false, -4 * time.Minute: false, 20 * time.Minute: true, -20 * time.Minute: true} {
		l, server, out := configured(t, github.Options{Now: func() time.Time { return time.Now().Add(off) }}, quick())
		if !refused {
			if err := server.Exit("oldpc", 2); err != nil {
				t.Fatal(err)
			}
		}
		want := map[bool]int{true: exitTerminated, false: 2}[refused]
		if code := l.listen(t.Context()); code != want || strings.Contains(out.String(), "clock right?") != refused {
			t.Errorf("off by %s: exit %d, want %d\n%s", off, code, want, out)
		}
	}
}

func TestSessionConflict(t *testing.T) {
	l, server, out := configured(t, github.Options{}, quick())
	if err := l.logIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.openSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The same runner again, while the first one counts as online.
	second, done, err := l.installation.listener(quick())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if code := second.listen(t.Context()); code != exitConflict || !strings.Contains(out.String(), "already exists") {
		t.Errorf("exit %d, want %d\n%s", code, exitConflict, out)
	}
	l.leave(t.Context())
	if err := server.Exit("oldpc", 2); err != nil {
		t.Fatal(err)
	}
	if code := second.listen(t.Context()); code != 2 {
		t.Errorf("after the first one has left: exit %d\n%s", code, out)
	}
}

// A server that was away, and has forgotten all sessions, is asked again.
func TestReconnects(t *testing.T) {
	l, server, out := configured(t, github.Options{}, quick())
	good := l.settings.ServerURL
	l.settings.ServerURL = "http://127.0.0.1:1/"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := false
	if err := l.once(ctx, &begun); err == nil {
		t.Error("nobody is there, and that is no error")
	}
	l.settings.ServerURL = good
	if err := server.Exit("oldpc", 3); err != nil {
		t.Fatal(err)
	}
	var end *ended
	if err := l.once(ctx, &begun); !errors.As(err, &end) || end.code != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	l.session, l.access = "gone", "gone"
	if err := server.Exit("oldpc", 2); err != nil {
		t.Fatal(err)
	}
	if err := l.once(ctx, &begun); err != nil || l.session != "" {
		t.Errorf("a session that nobody knows: %v, %q", err, l.session)
	}
}

func TestKeySurvivesItsFile(t *testing.T) {
	l, _, _ := configured(t, github.Options{}, quick())
	var kept rsaParameters
	if err := l.read(keyFile, &kept); err != nil {
		t.Fatal(err)
	}
	again, err := kept.key()
	if err != nil || !again.Equal(l.key) {
		t.Errorf("another key: %v", err)
	}
	kept.P[0] ^= 1
	if _, err := kept.key(); err == nil {
		t.Error("a damaged key is taken for one")
	}
}

func TestOptionsFromTheEnvironment(t *testing.T) {
	variables := map[string]string{
		"ACTIONS_RUNNER_INPUT_TOKEN": "secret", "ACTIONS_RUNNER_INPUT_URL": "http://x/o/r",
		"ACTIONS_RUNNER_INPUT_UNATTENDED": "true", "ACTIONS_RUNNER_INPUT_NO-DEFAULT-LABELS": "TRUE", "ACTIONS_RUNNER_INPUT_LABELS": "env",
	}
	i := installation{lookup: func(name string) (string, bool) { v, ok := variables[name]; return v, ok }}
	o, err := i.parse("configure", []string{"--labels", "a, b,", "--replace"})
	if err != nil || o.complete() != nil {
		t.Fatalf("%+v, %v", o, err)
	}
	if !o.replace || !o.unattended || o.token != "secret" || o.work != "_work" || o.name == "" {
		t.Errorf("%+v", o)
	}
	if got := o.allLabels(); len(got) != 2 || got[0] != (label{"a", "user"}) || got[1] != (label{"b", "user"}) {
		t.Errorf("labels %v", got)
	}
	for _, bad := range [][]string{{"--nonsense"}, {"word"}, {"--runasservice"}} {
		if _, err := i.parse("configure", bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
