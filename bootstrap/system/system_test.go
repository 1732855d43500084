package system

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// inPlace is the state of files that are as they should be.
func inPlace(files []managed.File) managed.State {
	s := managed.State{}
	for _, f := range files {
		sum := sha256.Sum256(f.Content)
		s[f.Path] = managed.Seen{Present: true, Kind: 0o100000 | uint32(f.Mode.Perm()), SHA256: hex.EncodeToString(sum[:])}
	}
	return s
}

func verbs(changes []step.Change, err error) string {
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, c := range changes {
		out = append(out, string(c.Verb)+" "+c.Object)
	}
	return strings.Join(out, ", ")
}

func running() managed.Unit { return managed.Unit{Active: true, Enabled: true, State: "active"} }

func TestClockDiff(t *testing.T) {
	off := facts.Clock{Skew: -40 * time.Minute, Uncertainty: time.Second}
	for name, c := range map[string]struct {
		seen clockState
		want string
	}{
		"right":                 {clockState{clock: facts.Clock{Service: "chrony"}}, ""},
		"off":                   {clockState{clock: off, enabled: true}, "update clock"},
		"off by less than seen": {clockState{clock: facts.Clock{Skew: 8 * time.Second, Uncertainty: 6 * time.Second}, enabled: true}, ""},
		"off, but synchronised": {clockState{clock: facts.Clock{Skew: time.Hour, Synchronized: true}, enabled: true}, ""},
		"nobody keeps time":     {clockState{available: true}, "enable systemd-timesyncd.service"},
		"nobody can keep time":  {clockState{}, ""},
	} {
		if got := verbs(clock{}.Diff(c.seen)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestClockIsBracketed(t *testing.T) {
	base := time.Unix(1795382289, 0)
	for _, off := range []time.Duration{0, 90 * time.Second, -24 * time.Hour} {
		read := base.Add(300 * time.Millisecond).Add(off).Unix()
		o := managed.Observed{Out: fmt.Appendf(nil, "now=%d\n", read), Units: managed.Units{
			syncObject: {Loaded: true}, "chrony.service": {Loaded: true, Active: true},
		}}
		s, err := newClockState(o, []string{syncObject, "chrony.service"}, base, base.Add(600*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		if d := (s.clock.Skew - off).Abs(); d > s.clock.Uncertainty {
			t.Errorf("off by %s: %s ± %s", off, s.clock.Skew, s.clock.Uncertainty)
		}
		if !s.available || s.clock.Service != "chrony" {
			t.Errorf("%+v", s)
		}
	}
	if _, err := newClockState(managed.Observed{Out: []byte("now=soon\n")}, nil, base, base); err == nil {
		t.Error("accepted a time that is none")
	}
}

func TestModulesDiff(t *testing.T) {
	m := newModules(facts.Facts{Modules: map[string]facts.Module{"vxlan": facts.ModuleMissing}})
	loaded := map[string]bool{"br_netfilter": true, "nf_conntrack": true, "overlay": true}
	if got := verbs(m.Diff(modulesState{inPlace(m.files), loaded})); got != "" {
		t.Errorf("in place: %q", got)
	}
	want := "create /etc/modules-load.d/90-ssg-bootstrap.conf, start module br_netfilter, start module nf_conntrack, start module overlay"
	if got := verbs(m.Diff(modulesState{})); got != want {
		t.Errorf("fresh: %q", got)
	}
}

func TestSysctlsDiff(t *testing.T) {
	s := newSysctls(map[string]string{"vm.swappiness": "100", "net.ipv4.ip_local_port_range": "1024 65000"})
	live := map[string]string{"vm.swappiness": "100", "net.ipv4.ip_local_port_range": words("1024\t65000")}
	if got := verbs(s.Diff(sysctlsState{inPlace(s.files), live})); got != "" {
		t.Errorf("in place: %q", got)
	}
	live["vm.swappiness"] = "60"
	if got := verbs(s.Diff(sysctlsState{inPlace(s.files), live})); got != "update vm.swappiness" {
		t.Errorf("somebody changed it: %q", got)
	}
}

func TestZramDiff(t *testing.T) {
	z := newZram(profiles.Zram{Percent: 50, Algorithm: "lz4", Priority: 100}, 4016548<<10)
	if z.started != "2013265920 lz4 100" {
		t.Errorf("size of half of 4 GB: %q", z.started)
	}
	for name, c := range map[string]struct {
		seen zramState
		want string
	}{
		"in place": {zramState{inPlace(z.files), running(), z.started, true}, ""},
		"fresh": {zramState{}, "create /usr/local/lib/ssg-bootstrap/zram, create /etc/systemd/system/ssg-bootstrap-zram.service, " +
			"update systemd's units, enable ssg-bootstrap-zram.service, start ssg-bootstrap-zram.service"},
		"other size":          {zramState{inPlace(z.files), running(), "1 lz4 100", true}, "restart ssg-bootstrap-zram.service"},
		"swapped off by hand": {zramState{inPlace(z.files), running(), z.started, false}, "start ssg-bootstrap-zram.service"},
		"somebody else's":     {zramState{swap: true}, ""},
	} {
		if got := verbs(z.Diff(c.seen)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestJournaldDiff(t *testing.T) {
	j := newJournald(map[string]string{"SystemMaxUse": "100M"})
	for name, c := range map[string]struct {
		seen journaldState
		want string
	}{
		"in place":                  {journaldState{inPlace(j.files), false}, ""},
		"fresh":                     {journaldState{}, "create " + journaldPath + ", restart systemd-journald.service"},
		"killed before the restart": {journaldState{inPlace(j.files), true}, "restart systemd-journald.service"},
	} {
		if got := verbs(j.Diff(c.seen)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestJournalIsOlderThanItsFile(t *testing.T) {
	started := time.Date(2026, 11, 22, 21, 26, 43, 0, time.UTC)
	at := started.Unix()
	for name, c := range map[string]struct {
		started time.Time
		file    managed.Seen
		want    bool
	}{
		"written before":  {started, managed.Seen{Present: true, Modified: at - 1}, false},
		"written after":   {started, managed.Seen{Present: true, Modified: at + 1}, true},
		"absent":          {started, managed.Seen{}, false},
		"never started":   {time.Time{}, managed.Seen{Present: true, Modified: at}, false},
		"the same second": {started, managed.Seen{Present: true, Modified: at}, false},
	} {
		if got := older(c.started, c.file); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestFirewallDiff(t *testing.T) {
	f := newFirewall(facts.Cluster{})
	live := string(f.files[0].Content)
	older := strings.ReplaceAll(live, f.tag, "ssg-bootstrap 000000000000")
	for name, c := range map[string]struct {
		seen firewallState
		want string
	}{
		"in place": {firewallState{inPlace(f.files), running(), live}, ""},
		"flushed":  {firewallState{inPlace(f.files), running(), ""}, "start ssg-bootstrap-firewall.service"},
		"older":    {firewallState{inPlace(f.files), running(), older}, "start ssg-bootstrap-firewall.service"},
		"one rule deleted": {firewallState{inPlace(f.files), running(), strings.Replace(live, f.tag, "", 1)},
			"start ssg-bootstrap-firewall.service"},
		"not enabled": {firewallState{inPlace(f.files), managed.Unit{Active: true}, live}, "enable ssg-bootstrap-firewall.service"},
	} {
		if got := verbs(f.Diff(c.seen)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The table may speak of the cluster's ports only: the way in by SSH must not
// depend on it.
func TestFirewallSaysNothingOfOtherPorts(t *testing.T) {
	text := string(newFirewall(facts.Cluster{}).files[0].Content)
	for _, word := range []string{"policy drop", " 22", "ssh"} {
		if strings.Contains(text, word) {
			t.Errorf("the ruleset holds %q:\n%s", word, text)
		}
	}
	if strings.Count(text, "dport") != 2 || !strings.Contains(text, "tcp dport { 6443, 10250 } jump guarded") || !strings.Contains(text, "udp dport 8472 jump overlay") {
		t.Errorf("other rules choose ports:\n%s", text)
	}
}

// TestRenderedFiles compares every file with testdata.
func TestRenderedFiles(t *testing.T) {
	p, err := profiles.Load("core2duo-4gb")
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Spec: spec.Spec{Profile: p}, Facts: facts.Facts{Memory: facts.Memory{Total: 4016548 << 10}}}
	s := in.Spec.Profile.System
	files := newModules(in.Facts).files
	files = append(files, newSysctls(s.Sysctls).files...)
	files = append(files, newZram(s.Zram, in.Facts.Memory.Total).files...)
	files = append(files, newJournald(s.Journald).files...)
	files = append(files, newFirewall(facts.Cluster{}).files...)
	for _, f := range files {
		goldentest.Equal(t, filepath.Join("testdata", strings.ReplaceAll(strings.TrimPrefix(f.Path, "/"), "/", "_")), string(f.Content))
	}
}

func TestStepsLeaveOutWhatTheBoxCannotDo(t *testing.T) {
	p := profiles.Profile{System: profiles.System{Zram: profiles.Zram{Percent: 50}}}
	in := Input{Spec: spec.Spec{Profile: p}, Facts: facts.Facts{Modules: map[string]facts.Module{"zram": facts.ModuleMissing}}}
	for _, id := range IDs(in) {
		if id == ZramID || id == JournaldID {
			t.Errorf("there is a step %s", id)
		}
	}
	if _, err := step.Sort(Steps(in)); err != nil {
		t.Error(err)
	}
}

func FuzzParseClock(f *testing.F) {
	f.Add([]byte("now=1795382289\nsynchronized=yes\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		base := time.Unix(1795382289, 0)
		s, err := newClockState(managed.Observed{Out: out}, nil, base, base.Add(time.Second))
		if err == nil && s.clock.Uncertainty < 0 {
			t.Errorf("uncertainty %s", s.clock.Uncertainty)
		}
	})
}

// rulesOf are the rules of one chain, without their comments.
func rulesOf(f firewall, chain string) string {
	_, text, _ := strings.Cut(string(f.files[0].Content), "chain "+chain+" {\n")
	text, _, _ = strings.Cut(text, "\t}\n")
	text = strings.ReplaceAll(text, fmt.Sprintf(" comment %q", f.tag), "")
	return strings.ReplaceAll(text, "\t", "")
}

// TestFirewallOpensForTheClusterAlone has the ports that each box's firewall
// opens, and for whom.
func TestFirewallOpensForTheClusterAlone(t *testing.T) {
	const always = "iifname { \"lo\", \"cni0\", \"flannel.1\", \"tailscale0\" } accept\nip saddr { 10.42.0.0/16, 10.43.0.0/16 } accept\n"
	newpc, third := facts.Peer{Name: "newpc", Address: "192.168.1.21"}, facts.Peer{Name: "third", Address: "192.168.1.22"}
	for name, c := range map[string]struct {
		cluster          facts.Cluster
		guarded, overlay string
	}{
		"alone":  {facts.Cluster{}, "", ""},
		"server": {facts.Cluster{Address: "192.168.1.20"}.With(third).With(newpc), "ip saddr 192.168.1.21 accept\nip saddr 192.168.1.22 accept\n", "ip saddr 192.168.1.21 accept\nip saddr 192.168.1.22 accept\n"},
		"agent": {facts.Cluster{Address: newpc.Address, Server: facts.Peer{Name: "oldpc", Address: "192.168.1.20"}}.With(third),
			"ip saddr 192.168.1.20 tcp dport 10250 accept\n", "ip saddr 192.168.1.20 accept\nip saddr 192.168.1.22 accept\n"},
	} {
		f := newFirewall(c.cluster)
		if got, want := rulesOf(f, "guarded"), always+c.guarded+"reject with tcp reset\n"; got != want {
			t.Errorf("%s: 6443 and 10250:\n%s, want\n%s", name, got, want)
		}
		if got, want := rulesOf(f, "overlay"), c.overlay+"drop\n"; got != want {
			t.Errorf("%s: 8472:\n%s, want\n%s", name, got, want)
		}
	}
}
