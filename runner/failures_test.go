package runner

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/runner/github"
)

// wants fails the test unless err is of the code, with a word of what to do.
func wants(t *testing.T, err error, code fault.Code, next string) {
	t.Helper()
	if fault.CodeOf(err) != code || !strings.Contains(fault.NextOf(err), next) {
		t.Errorf("got %v (%s), next %q, evidence %q", err, fault.CodeOf(err), fault.NextOf(err), fault.EvidenceOf(err))
	}
}

func writes(asked []string) []string {
	return slices.DeleteFunc(asked, func(r string) bool { return strings.HasPrefix(r, "GET ") || strings.HasPrefix(r, "HEAD ") })
}

// TestWhatGitHubRefusesIsExplainedBeforeAnythingIsDone: nothing is sent and
// nothing is registered.
func TestWhatGitHubRefusesIsExplainedBeforeAnythingIsDone(t *testing.T) {
	refuse := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, "/api/") {
				return false
			}
			say(w, code, map[string]any{"message": fmt.Sprint(code)})
			return true
		}
	}
	for _, c := range []struct {
		name string
		set  func(*machine)
		code fault.Code
		next string
	}{
		{"403", func(m *machine) { m.hub.answer = refuse(403) }, fault.GitHubRefused, "Administration"},
		{"404", func(m *machine) { m.hub.answer = refuse(404) }, fault.GitHubRefused, "runner.repository"},
		{"429", func(m *machine) { m.hub.answer = refuse(429) }, fault.GitHubUnavailable, "again"},
		{"500", func(m *machine) { m.hub.answer = refuse(500) }, fault.GitHubUnavailable, "again"},
		{"public", func(m *machine) { m.hub.public = true }, fault.RepositoryPublic, "--allow-public-repo"},
		{"no token", func(m *machine) { m.withoutToken() }, fault.GitHubToken, "GITHUB_TOKEN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			c.set(m)
			_, err := m.converge()
			wants(t, err, c.code, c.next)
			if m.Exists(archivePath) || len(writes(m.hub.requests())) > 0 {
				t.Error("something was sent or written all the same")
			}
		})
	}
}

func (m *machine) withoutToken() {
	gh, err := github.New(github.Options{API: m.hub.URL + "/api/v3", Repository: repository})
	if err != nil {
		m.t.Fatal(err)
	}
	m.in.GitHub = gh
}

func TestAPublicRepositoryIsServedWhereTheOwnerSaysSo(t *testing.T) {
	m := newMachine(t)
	m.hub.public, m.in.Want.AllowPublicRepository = true, true
	m.must(t)
	if !m.hub.runners["oldpc"].Online {
		t.Error("it is not online")
	}
}

func TestAPackageThatIsNotWhatGitHubSaysIsNotSent(t *testing.T) {
	m := newMachine(t)
	m.hub.sum = strings.Repeat("0", 64)
	_, err := m.converge()
	wants(t, err, fault.DigestMismatch, "")
	if m.Exists(archivePath) || m.hub.runners["oldpc"] != nil {
		t.Error("it was sent or registered all the same")
	}
}

func TestAVersionThatGitHubRefusesIsNamedAndTheTokenIsNot(t *testing.T) {
	m := newMachine(t)
	m.refuse = "An error occurred: Runner version v2.336.0 is deprecated and cannot receive messages."
	_, err := m.converge()
	wants(t, err, fault.RunnerRefused, "version no more")
	if said := fault.EvidenceOf(err); !strings.Contains(said, "deprecated") || strings.Contains(said, registrationToken) {
		t.Errorf("evidence %q", said)
	}
	// The next run goes on.
	m.refuse = ""
	m.must(t)
}

func TestARunnerAtWorkIsLeftAlone(t *testing.T) {
	m := newMachine(t)
	m.must(t)
	m.hub.change(func() { m.hub.runners["oldpc"].Busy = true })
	pid := m.Systemd.Unit(serviceUnit).PID
	m.in.Want.Labels = []string{"other"}
	_, err := m.converge()
	wants(t, err, fault.RunnerBusy, "job to end")
	if m.Systemd.Unit(serviceUnit).PID != pid {
		t.Error("its unit was restarted")
	}
	if _, err := Remove(t.Context(), m.Connect(t), m.in, Removal{}); fault.CodeOf(err) != fault.RunnerBusy || !m.Exists(rootDir+"/.runner") {
		t.Errorf("removal: %v", err)
	}
	m.hub.change(func() { m.hub.runners["oldpc"].Busy = false })
	m.must(t)
	if got := m.hub.runners["oldpc"].Labels; !slices.Equal(got, []string{"other"}) {
		t.Errorf("labels are %v", got)
	}
}

// TestWhatBrokeIsMended breaks one thing after another; each run mends it, with
// no more than it takes, and the run after that changes nothing.
func TestWhatBrokeIsMended(t *testing.T) {
	m := newMachine(t)
	m.must(t)
	for _, c := range []struct {
		name     string
		damage   func()
		register bool
		changed  step.ID
	}{
		{"runsvc.sh of zero bytes", func() { m.WriteFile(rootDir+"/runsvc.sh", "", 0o755) }, false, ServiceID},
		{"a terminal exit", func() { m.Exec("systemctl stop " + serviceUnit); m.hub.listens(m.hub.runners["oldpc"].ID, false) }, false, ServiceID},
		{"a unit that is not enabled", func() { m.Exec("systemctl disable " + serviceUnit) }, false, ServiceID},
		{"a drop-in that was changed", func() {
			m.WriteFile("/etc/systemd/system/"+serviceUnit+".d/10-ssg-bootstrap.conf", "# Managed by ssg-bootstrap\n", 0o644)
		}, false, ServiceID},
		{".path that lost kubectl", func() { m.WriteFile(rootDir+"/.path", "/usr/bin\n", 0o644) }, false, ServiceID},
		{"GitHub forgot it", func() { m.hub.change(func() { delete(m.hub.runners, "oldpc") }) }, true, ServiceID},
		{"its unit is gone", func() {
			m.Exec("systemctl disable --now " + serviceUnit)
			m.Exec("rm -f /etc/systemd/system/" + serviceUnit)
		}, true, ServiceID},
		{"its unit is empty after a power cut", func() { m.WriteFile("/etc/systemd/system/"+serviceUnit, "", 0o644) }, true, ServiceID},
		{"the program is damaged", func() { m.WriteFile(rootDir+"/bin/Runner.Listener", "", 0o755) }, true, ServiceID},
		{"another cluster", func() { m.WriteFile(serverCA, "authority two\n", 0o644) }, false, AccessID},
		{"the account is gone", func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.objects, "/api/v1/namespaces/studentsystemgo/serviceaccounts/"+account)
			delete(m.objects, "/api/v1/namespaces/studentsystemgo/secrets/"+tokenSecret)
			m.token = "canary-cluster-token-2"
		}, false, AccessID},
		{"a role that was widened", func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.objects["/apis/rbac.authorization.k8s.io/v1/namespaces/studentsystemgo/roles/"+account]["rules"] = []any{}
		}, false, AccessID},
		{"helm is gone", func() { m.Exec("rm -f " + helmPath) }, false, HelmID},
		{"a unit of an earlier name", func() {
			m.WriteFile("/etc/systemd/system/actions.runner.old.name.service", "[Service]\nWorkingDirectory="+rootDir+"\n", 0o644)
		}, false, ServiceID},
	} {
		c.damage()
		m.hub.requests()
		r, err := m.converge()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, fault.EvidenceOf(err))
		}
		if !slices.Equal(r.Changed, []step.ID{c.changed}) {
			t.Errorf("%s: changed %v", c.name, r.Changed)
		}
		if n := len(writes(m.hub.requests())); (n > 0) != c.register {
			t.Errorf("%s: %d writes to GitHub", c.name, n)
		}
		if one := m.hub.runners["oldpc"]; one == nil || !one.Online || len(m.hub.runners) != 1 {
			t.Errorf("%s: GitHub sees %v", c.name, m.hub.runners)
		}
		if m.ReadFile(rootDir+"/runsvc.sh") == "" || m.Systemd.Unit(serviceUnit).Active != "active" {
			t.Errorf("%s: the runner does not run", c.name)
		}
		if p := m.plan(); !p.Empty() {
			t.Errorf("%s: left %+v", c.name, p)
		}
	}
	if m.Exists("/etc/systemd/system/actions.runner.old.name.service") {
		t.Error("the earlier unit is still there")
	}
	if text := m.ReadFile(kubeconfigPath); !strings.Contains(text, encoded("authority two\n")) || !strings.Contains(text, "canary-cluster-token-2") {
		t.Errorf("kubeconfig:\n%s", text)
	}
}

func TestAWipedDiskGivesBackTheSameRunner(t *testing.T) {
	first := newMachine(t)
	first.must(t)
	second := newMachine(t)
	second.hub.change(func() {
		second.hub.runners["oldpc"] = &hubRunner{ID: 3, Name: "oldpc", Version: "2.300.0", Labels: []string{"old"}}
	})
	second.must(t)
	if one := second.hub.runners["oldpc"]; len(second.hub.runners) != 1 || one.ID != 3 || !one.Online || one.Version != "2.336.0" {
		t.Errorf("GitHub sees %+v", one)
	}
}

func TestARunnerThatIsKeptAwayForItsAgeIsReplaced(t *testing.T) {
	m := newMachine(t)
	m.must(t)
	m.hub.change(func() {
		m.hub.archive, m.hub.sum = runnerArchive(t, "2.337.0")
		m.hub.version = "2.337.0"
	})
	// Online, it updates itself: nothing to do.
	if p := m.plan(); !p.Empty() {
		t.Errorf("an online runner is to be changed: %+v", p)
	}
	m.hub.listens(m.hub.runners["oldpc"].ID, false)
	m.must(t)
	if one := m.hub.runners["oldpc"]; one.Version != "2.337.0" || !one.Online {
		t.Errorf("GitHub sees %+v", one)
	}
}

func TestGitHubBeingAwayIsNoReasonToFailARunThatHasNothingToDo(t *testing.T) {
	m := newMachine(t)
	m.must(t)
	m.hub.change(func() {
		m.hub.answer = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
	})
	if r := m.must(t); len(r.Changed) > 0 || !strings.Contains(m.said.String(), "taken as it is") {
		t.Errorf("changed %v", r.Changed)
	}
	m.withoutToken()
	if r := m.must(t); len(r.Changed) > 0 {
		t.Errorf("without a token changed %v", r.Changed)
	}
}

func TestAUserWhoCouldBecomeRootIsRefused(t *testing.T) {
	m := newMachine(t)
	m.user, m.groups = []string{homeDir, userComment}, userName+" docker"
	_, err := m.converge()
	wants(t, err, fault.ForeignConfig, "gpasswd -d github-runner docker")
}

func TestRemovalLeavesNothing(t *testing.T) {
	m := newMachine(t)
	before := m.Files()
	m.must(t)
	down := func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }
	m.hub.change(func() { m.hub.answer = down })
	if _, err := Remove(t.Context(), m.Connect(t), m.in, Removal{Cluster: true}); !strings.Contains(fault.NextOf(err), "--leave-at-github") || !m.Exists(rootDir+"/.runner") {
		t.Fatalf("%v, next %q", err, fault.NextOf(err))
	}
	m.hub.change(func() { m.hub.answer = nil })
	gone, err := Remove(t.Context(), m.Connect(t), m.in, Removal{Cluster: true})
	if err != nil || !gone.Here || !gone.There || len(m.hub.runners) != 0 || m.user != nil {
		t.Errorf("%+v, %v, %v", gone, err, m.hub.runners)
	}
	for _, left := range m.Files() {
		if strings.Contains(left, "runner") && !slices.Contains(before, left) {
			t.Errorf("left: %s", left)
		}
	}
	if gone, err = Remove(t.Context(), m.Connect(t), m.in, Removal{Cluster: true}); err != nil || gone.Here || gone.There {
		t.Errorf("a second time: %+v, %v", gone, err)
	}
}

// TestNoTokenIsSeenAnywhere installs, fails, repairs and removes with canaries.
func TestNoTokenIsSeenAnywhere(t *testing.T) {
	m := newMachine(t)
	m.refuse = "refused"
	_, err := m.converge()
	m.note(fmt.Sprintf("%v %+v %s %s", err, err, fault.EvidenceOf(err), fault.NextOf(err)))
	m.refuse = ""
	m.must(t)
	st, err := Look(t.Context(), m.Connect(t), m.in)
	if err != nil {
		t.Fatal(err)
	}
	m.note(st)
	m.note(st.Findings(facts.Facts{}, time.Now()))
	allowed := map[string]string{kubeconfigPath: m.token}
	for _, secret := range []string{pat, registrationToken, m.token, "canary-sudo"} {
		if strings.Contains(m.said.String(), secret) {
			t.Errorf("%s is in an event, a plan, an error or a status", secret)
		}
		for _, line := range m.Wire() {
			if strings.Contains(line, secret) {
				t.Errorf("%s crossed the wire in a command line: %s", secret, line)
			}
		}
		for _, e := range m.Log() {
			if strings.Contains(e.String(), secret) {
				t.Errorf("%s is in argv: %s", secret, e)
			}
		}
		for _, line := range m.Files() {
			path, _, _ := strings.Cut(line, " ")
			if info, err := os.Stat(m.Path(path)); err != nil || info.IsDir() {
				continue
			}
			if strings.Contains(m.ReadFile(path), secret) && allowed[path] != secret {
				t.Errorf("%s is in %s", secret, path)
			}
		}
	}
	if info, err := os.Stat(m.Path(kubeconfigPath)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s is %v", kubeconfigPath, info.Mode())
	}
}

func TestFindingsWarnInTime(t *testing.T) {
	m := newMachine(t)
	m.must(t)
	now := time.Now()
	m.hub.change(func() { m.hub.ends["2.336.0"] = now.Add(5 * 24 * time.Hour) })
	grades := func(f facts.Facts, at time.Time) map[string]facts.Grade {
		st, err := Look(t.Context(), m.Connect(t), m.in)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]facts.Grade{}
		for _, x := range st.Findings(f, at) {
			out[x.Check] = x.Grade
		}
		return out
	}
	old := facts.Facts{CPU: facts.CPU{Level: 1}}
	if g := grades(old, now); g["runner"] != facts.OK || g["runner version"] != facts.Warn || g["runner CPU"] != facts.Note || g["runner away"] != "" {
		t.Errorf("%v", g)
	}
	m.hub.listens(m.hub.runners["oldpc"].ID, false)
	if g := grades(facts.Facts{}, now.Add(9*24*time.Hour)); g["runner"] != facts.Warn || g["runner away"] != facts.Warn || g["runner CPU"] != "" {
		t.Errorf("%v", g)
	}
	m.hub.public = true
	if f := Public(t.Context(), m.in); len(f) != 1 || f[0].Grade != facts.Warn {
		t.Errorf("%v", f)
	}
}

// TestAnOldRunnerThatEndsAgainAndAgainIsNotWaitedFor: its unit starts it anew
// for ever, and only its journal says why.
func TestAnOldRunnerThatEndsAgainAndAgainIsNotWaitedFor(t *testing.T) {
	m := newMachine(t)
	m.deaf = true
	m.Command("journalctl", func(c *hosttest.Call) int {
		c.Printf("Runner version v2.336.0 is deprecated and cannot receive messages.\n")
		return 0
	})
	_, err := m.converge()
	wants(t, err, fault.RunnerRefused, "version that GitHub offers")
	if !strings.Contains(fault.EvidenceOf(err), "deprecated") {
		t.Errorf("evidence %q", fault.EvidenceOf(err))
	}
}

func TestHelmIsTheOneThatIsPartOfTheProgram(t *testing.T) {
	text, err := os.ReadFile("../go.mod")
	if err != nil || !strings.Contains(string(text), "\thelm.sh/helm/v3 "+HelmVersion+"\n") {
		t.Errorf("jobs get helm %s, and go.mod says otherwise (%v)", HelmVersion, err)
	}
}
