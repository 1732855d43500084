package k3s

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

func TestServerDiff(t *testing.T) {
	ready := apiState{answers: true, ready: true, node: true}
	up := managed.Unit{Active: true, Enabled: true, State: "active"}
	s := server{node: "oldpc"}
	for name, c := range map[string]struct {
		seen serverState
		want string
	}{
		"fresh": {serverState{want: "a"}, "update digest, start k3s.service, wait for node oldpc"},
		"done":  {serverState{want: "a", onDisk: "a", running: "a", unit: up, api: ready}, ""},
		"changed": {serverState{want: "b", onDisk: "a", running: "a", unit: up, api: ready},
			"update digest, restart k3s.service, wait for node oldpc"},
		"killed before the restart":      {serverState{want: "b", onDisk: "b", running: "a", unit: up, api: ready}, "restart k3s.service, wait for node oldpc"},
		"killed while it waited":         {serverState{want: "a", onDisk: "a", running: "a", unit: up}, "wait for node oldpc"},
		"starting":                       {serverState{want: "a", onDisk: "a", running: "a", unit: managed.Unit{State: "activating"}}, "wait for node oldpc"},
		"only comments changed":          {serverState{want: "a", running: "a", unit: up, api: ready}, "update digest"},
		"stopped by the owner":           {serverState{want: "a", onDisk: "a", unit: managed.Unit{State: "inactive"}}, "start k3s.service, wait for node oldpc"},
		"failed":                         {serverState{want: "a", onDisk: "a", running: "a", unit: managed.Unit{State: "failed"}}, "start k3s.service, wait for node oldpc"},
		"loaded something nobody knows":  {serverState{want: "a", onDisk: "a", unit: up, api: ready}, "restart k3s.service, wait for node oldpc"},
		"node not ready":                 {serverState{want: "a", onDisk: "a", running: "a", unit: up, api: apiState{answers: true, ready: true}}, "wait for node oldpc"},
		"API not ready, node was before": {serverState{want: "a", onDisk: "a", running: "a", unit: up, api: apiState{answers: true, node: true}}, "wait for node oldpc"},
	} {
		got, err := s.Diff(c.seen)
		if err != nil {
			t.Fatal(err)
		}
		if text := verbs(got); text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

func verbs(changes []step.Change) string {
	var out []string
	for _, c := range changes {
		object := strings.Replace(c.Object, digestObject, "digest", 1)
		out = append(out, string(c.Verb)+" "+object)
	}
	return strings.Join(out, ", ")
}

// scripted answers queries by a function and refuses everything else.
type scripted struct {
	host.Host
	answer func(host.Command) string
}

func (s scripted) Query(_ context.Context, c host.Command) ([]byte, error) {
	return []byte(s.answer(c)), nil
}

// QueryMany answers a look: what is said of the unit serves as the script's
// answer too.
func (s scripted) QueryMany(_ context.Context, cs []host.Command) ([]host.Answer, error) {
	out := make([]host.Answer, len(cs))
	for i, c := range cs {
		if !strings.Contains(c.Argv[2], "sha256sum") {
			out[i].Out = []byte(s.answer(c))
		}
	}
	return out, nil
}

func (s scripted) Run(context.Context, host.Command) ([]byte, error) { return nil, nil }

type oneFile struct{}

func (oneFile) Resolve(_ context.Context, r artifact.Ref) (artifact.Artifact, error) {
	return artifact.Artifact{Ref: r, SHA256: "cafe"}, nil
}

func (oneFile) Fetch(context.Context, artifact.Artifact, host.Progress) (string, error) {
	return "", errors.New("not asked for")
}

func testServer() server {
	return server{release: newRelease(oneFile{}, "v1.36.4+k3s1"), node: "oldpc",
		waits: profiles.Waits{K3sStall: profiles.Duration(10 * time.Minute), NodeStall: profiles.Duration(5 * time.Minute)}}
}

// follows waits for a k3s that answers by a function of the time since the
// start, on a clock that runs as fast as the test.
func follows(t *testing.T, answer func(time.Duration) string) (err error, took time.Duration, notes []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := scripted{answer: func(c host.Command) string {
			if c.Argv[0] == "journalctl" {
				return "level=fatal msg=\"flag provided but not defined: -foo\"\n"
			}
			return answer(time.Since(start))
		}}
		r := step.Run{Host: h, Note: func(s string) { notes = append(notes, s) }}
		err = testServer().Apply(t.Context(), r, []step.Change{{Verb: step.Wait, Object: "node oldpc"}})
		took = time.Since(start)
	})
	return err, took, notes
}

func seen(restarts int, line string, api ...string) string {
	want, err := testServer().loaded.digest("cafe")
	if err != nil {
		panic(err)
	}
	out := fmt.Sprintf("Id=k3s.service\nActiveState=active\nNRestarts=%d\nboot=b1\nrunning=%s\nline=%s\n%s\n%s\n%s\n\n", restarts, want, line, apiSeparator, readyPath, testServer().nodePath())
	answers := ""
	for _, body := range api {
		status, body, _ := strings.Cut(body, " ")
		answers += fmt.Sprintf("HTTP/1.1 %s X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
	return out + packed(answers)
}

const readyNode = `200 {"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"bootID":"b1"}}}`

func TestANodeIsReadyInThisBoot(t *testing.T) {
	before := strings.Replace(readyNode, "b1", "b0", 1)
	err, took, notes := follows(t, func(at time.Duration) string {
		if at < 3*time.Minute {
			return seen(0, "up", "200 ok", before)
		}
		return seen(0, "up", "200 ok", readyNode)
	})
	if err != nil || took < 3*time.Minute {
		t.Errorf("%v after %s", err, took)
	}
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "has not reported since the box started") }) {
		t.Errorf("it said %q", notes)
	}
}

func TestRestartsAreExpectedOnSlowHardware(t *testing.T) {
	err, took, _ := follows(t, func(at time.Duration) string {
		switch n := int(at / (3 * time.Minute)); {
		case n < 7:
			return seen(n, fmt.Sprintf("stage %c", 'a'+n))
		case n < 8:
			return seen(n, "up", "200 ok", `404 {}`)
		}
		return seen(8, "up", "200 ok", readyNode)
	})
	if err != nil {
		t.Fatalf("gave up after %s: %v", took, err)
	}
	if took < 24*time.Minute {
		t.Errorf("was satisfied after %s", took)
	}
}

func TestHopelessStartEndsSoon(t *testing.T) {
	err, took, _ := follows(t, func(at time.Duration) string {
		return seen(int(at/(7*time.Second)), "flag provided but not defined: -foo")
	})
	if fault.CodeOf(err) != fault.WaitStalled || took > time.Minute {
		t.Fatalf("after %s: %v", took, err)
	}
	if text := fault.EvidenceOf(err); !strings.Contains(text, "-foo") {
		t.Errorf("the journal's end is not shown: %q", text)
	}
}

func TestSilentStartStalls(t *testing.T) {
	err, took, _ := follows(t, func(at time.Duration) string {
		// The same message with another time in it is no progress.
		return seen(int(at/time.Hour), fmt.Sprintf("I1122 %d waiting for the disk", at.Milliseconds()))
	})
	if fault.CodeOf(err) != fault.WaitStalled || took < 10*time.Minute || took > 11*time.Minute {
		t.Errorf("after %s: %v", took, err)
	}
}

func TestCrashLoopWithoutNewsStalls(t *testing.T) {
	lines := []string{"starting", "opening the datastore", "fatal: disk image is malformed"}
	err, took, _ := follows(t, func(at time.Duration) string {
		n := int(at / (40 * time.Second))
		return seen(n, lines[int(at/(13*time.Second))%3])
	})
	if fault.CodeOf(err) != fault.WaitStalled || took > 12*time.Minute {
		t.Errorf("after %s: %v", took, err)
	}
}

func TestNodeThatIsNeverReadySaysWhy(t *testing.T) {
	err, took, notes := follows(t, func(time.Duration) string {
		return seen(0, "up", "200 ok", `200 {"status":{"conditions":[{"type":"Ready","status":"False","message":"cni plugin not initialized"}],"nodeInfo":{"bootID":"b1"}}}`)
	})
	if fault.CodeOf(err) != fault.WaitStalled || took > 6*time.Minute {
		t.Errorf("after %s: %v", took, err)
	}
	if !strings.Contains(strings.Join(notes, "\n"), "cni plugin not initialized") || !strings.Contains(fault.EvidenceOf(err), "cni plugin") {
		t.Errorf("the reason is not said: %q, %q", notes, fault.EvidenceOf(err))
	}
}

// came says that all pods came up under the process pid of k3s, which now is 7.
func came(o podsState, pid string) podsState {
	o.pid, o.upUnder = "7", pid
	return o
}

func TestSystemPodsDiff(t *testing.T) {
	s := systemPods{}
	var fine []Pod
	for _, c := range s.components() {
		fine = append(fine, Pod{Name: c.prefix + "x", Ready: "1/1", Status: "Running"})
	}
	with := func(p ...Pod) podsState { return podsState{answers: true, pods: append(p, fine...)} }
	for name, c := range map[string]struct {
		step systemPods
		seen podsState
		want string
	}{
		"fine":              {s, with(), ""},
		"API down":          {s, podsState{}, "not running"},
		"creating":          {s, with(Pod{Name: "coredns-y", Ready: "0/1", Status: "ContainerCreating"}), "coredns-y 0/1 ContainerCreating"},
		"crash loop":        {s, with(Pod{Name: "traefik-y", Ready: "0/1", Status: "CrashLoopBackOff"}), "traefik-y 0/1 CrashLoopBackOff"},
		"half ready":        {s, with(Pod{Name: "svclb-traefik-y", Ready: "1/2", Status: "Running"}), "svclb-traefik-y 1/2 Running"},
		"job is done":       {s, with(Pod{Name: "helm-install-traefik-y", Ready: "0/1", Status: "Completed"}), ""},
		"the owner's pod":   {s, with(Pod{Name: "mine", Ready: "0/1", Status: "Error"}), ""},
		"one is absent":     {s, podsState{answers: true, pods: fine[1:]}, "coredns absent"},
		"slow to answer":    {s, came(with(Pod{Name: "metrics-server-y", Ready: "0/1", Status: "Running"}), "7"), ""},
		"k3s restarted":     {s, came(with(Pod{Name: "metrics-server-y", Ready: "0/1", Status: "Running"}), "6"), "metrics-server-y 0/1 Running"},
		"crashes later":     {s, came(with(Pod{Name: "traefik-y", Ready: "0/1", Status: "Error"}), "7"), "traefik-y 0/1 Error"},
		"it is disabled":    {systemPods{disabled: []string{"coredns"}}, podsState{answers: true, pods: fine[1:]}, ""},
		"traefik takes two": {systemPods{disabled: []string{"traefik"}}, podsState{answers: true, pods: fine[:3]}, ""},
	} {
		got, err := c.step.Diff(c.seen)
		if err != nil {
			t.Fatal(err)
		}
		why := ""
		if len(got) == 1 {
			why = got[0].Why
		}
		if why != c.want {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}
