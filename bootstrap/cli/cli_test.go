package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

func TestATunnelsPortStaysAndIsNobodyElses(t *testing.T) {
	dir := t.TempDir()
	seen := map[int]string{}
	for _, host := range []string{"oldpc", "other", "root@192.168.1.20:22", "a", "b", "c"} {
		first, err := tunnelPort(dir, host)
		if err != nil {
			t.Fatal(err)
		}
		again, err := tunnelPort(dir, host)
		if err != nil || again != first {
			t.Errorf("%s: %d, then %d (%v)", host, first, again, err)
		}
		if seen[first] != "" || first < firstPort || first >= firstPort+portCount {
			t.Errorf("%s gets port %d, as %s does", host, first, seen[first])
		}
		seen[first] = host
	}
}

func TestTwoHostsWithOneHashGetTwoPorts(t *testing.T) {
	dir := t.TempDir()
	port, err := tunnelPort(dir, "oldpc")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := tunnelPort(dir, "OLDPC"); err != nil || other == port {
		t.Errorf("both have %d (%v)", other, err)
	}
}

func TestHistoryIsKeptPerHostAndSurvivesDamage(t *testing.T) {
	dir := t.TempDir()
	h := loadHistory(dir, "root@box:22")
	h.see(step.Event{Kind: step.StepDone, Step: "k3s-server", Took: 190 * time.Second, Time: time.Now()})
	h.see(step.Event{Kind: step.StepUnchanged, Step: "zram", Took: time.Second})
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	if got := loadHistory(dir, "root@box:22"); got.last("k3s-server") != 190*time.Second || got.last("zram") != 0 {
		t.Errorf("got %+v", got)
	}
	if got := loadHistory(dir, "other"); len(got.Steps) != 0 {
		t.Errorf("another host remembers %+v", got)
	}
	if err := os.WriteFile(h.path, []byte(`{"steps": nul`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := loadHistory(dir, "root@box:22"); got.last("k3s-server") != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestALongWorkIsRememberedByItsTitle also holds that a short one is not, that a
// failed one changes nothing, and that two kinds of work do not mix.
func TestALongWorkIsRememberedByItsTitle(t *testing.T) {
	dir := t.TempDir()
	play := func(h *history, title string, took time.Duration, end step.Kind) (last time.Duration) {
		see := h.task(func(e step.Event) { last = max(last, e.Last) })
		see(step.Event{Kind: step.StepStarted, Step: "rotate", Title: title})
		see(step.Event{Kind: end, Step: "rotate", Title: title, Took: took, Time: time.Now()})
		return last
	}
	h := loadHistory(dir, "oldpc")
	play(h, "rotate mysql", 200*time.Second, step.StepDone)
	play(h, "rotate mysql", time.Hour, step.StepFailed)
	play(h, "look at oldpc", time.Second, step.StepDone)
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	h = loadHistory(dir, "oldpc")
	for title, want := range map[string]time.Duration{"rotate mysql": 200 * time.Second, "rotate jwt": 0, "look at oldpc": 0} {
		if got := play(h, title, 0, step.StepDone); got != want {
			t.Errorf("%s took %s last time, want %s", title, got, want)
		}
	}
	if h.last("rotate") != 0 {
		t.Error("work is taken for a step of the plan")
	}
}

func TestARunThatWaitedForNothingWritesNoHistory(t *testing.T) {
	_, a := newWorld(t)
	h := a.about("oldpc")
	_, end := a.task("facts", "look at oldpc")
	end(nil)
	a.close()
	if _, err := os.Stat(h.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", h.path, err)
	}
}

func TestAHostsFolderStaysBelowOurs(t *testing.T) {
	for _, host := range []string{"..", ".", "../../x", "a/b", "/etc"} {
		if dir := filepath.Join("/state", fileName(host)); filepath.Dir(dir) != "/state" {
			t.Errorf("%q leads to %s", host, dir)
		}
	}
}

func TestWhichHost(t *testing.T) {
	two := spec.Config{Hosts: map[string]spec.Host{"a": {}, "b": {}}}
	one := spec.Config{Hosts: map[string]spec.Host{"a": {}}}
	preset := two
	preset.Defaults.Host = "b"
	for _, c := range []struct {
		cfg        spec.Config
		flag, want string
	}{{one, "", "a"}, {two, "b", "b"}, {preset, "", "b"}, {preset, "a", "a"}, {spec.Config{}, "root@x", "root@x"}} {
		if got, err := chooseHost(c.cfg, c.flag); got != c.want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, c.want)
		}
	}
	for _, cfg := range []spec.Config{two, {}} {
		if _, err := chooseHost(cfg, ""); fault.CodeOf(err) != fault.Usage || fault.NextOf(err) == "" {
			t.Errorf("got %v", err)
		}
	}
}

func TestAPlanReadsAsASentence(t *testing.T) {
	p := measuredPlan{host: "oldpc", link: &facts.Link{Rate: 250e3}}
	p.Steps = []step.Planned{
		{Step: "zram", Changes: []step.Change{{Verb: step.Create, Object: "/etc/x", Bytes: 400}, {Verb: step.Start, Object: "zram", Work: 2 * time.Second}}},
		{Step: "k3s-binary", Changes: []step.Change{{Verb: step.Send, Object: "k3s", Bytes: 81e6}}},
		{Step: "k3s-server", Deferred: true},
		{Step: "clock"},
	}
	if got, want := p.summary(), "3 changes in 2 steps, and 1 step known later; sends 81 MB; takes about 5 minutes at the measured 250 kB/s."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.Steps = p.Steps[3:]
	if got := p.summary(); got != "No changes." {
		t.Errorf("got %s", got)
	}
}

func TestRefusalListsEveryReasonWithItsRemedy(t *testing.T) {
	err := refusal([]facts.Finding{{Check: "cpu", Text: "it is an ARM"}, {Check: "disk", Text: "read-only", Remedy: "look at dmesg"}})
	if fault.ExitOf(err) != fault.ExitPreflight {
		t.Errorf("exit %d", fault.ExitOf(err))
	}
	if got, want := fault.EvidenceOf(err), "cpu: it is an ARM\ndisk: read-only\n  try: look at dmesg"; got != want {
		t.Errorf("got %q", got)
	}
	if refusal(nil) != nil {
		t.Error("no reason, and refused")
	}
}
