package tailnet_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet/tailnettest"
)

func (b *bench) look() tailnet.Status {
	b.t.Helper()
	s, err := tailnet.Look(b.t.Context(), host.ReadOnly(b.box.Connect(b.t)))
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// graded lists what a check finds, one a line.
func graded(found []facts.Finding) string {
	var out strings.Builder
	for _, f := range found {
		out.WriteString(string(f.Grade) + " " + f.Text + "\n")
	}
	return out.String()
}

func TestWhatStatusAndDoctorSay(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	check := func(want ...string) {
		t.Helper()
		got := graded(tailnet.Check(b.look(), "oldpc", []string{"tag:homelab"}, now))
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%q is not said:\n%s", w, got)
			}
		}
	}
	check("note tailscale is not installed")
	b.install()
	s := b.look()
	if !s.Running() || s.Name != "oldpc."+tailnettest.Suffix || s.Addresses[0] != "100.64.0.1" || !s.MagicDNS || s.Relay != "lab" {
		t.Errorf("%+v", s)
	}
	if text := s.Summary(now); text != "oldpc.tail1234.ts.net, 100.64.0.1, tags tag:homelab, its key does not expire" {
		t.Error(text)
	}
	if text := s.Paths(); text != "relay (DERP) lab, no traffic with other nodes now" {
		t.Error(text)
	}
	check("ok oldpc.tail1234.ts.net")
	b.node.Set("Stopped")
	check("warn the box is not in the tailnet: tailscaled is Stopped")
	b.box.Exec("systemctl stop tailscaled")
	check("warn tailscaled does not answer (it is inactive)")
}

func TestADoctorSeesWhatATailnetDoesBehindOnesBack(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	soon := now.Add(5 * 24 * time.Hour)
	s := tailnet.Status{Installed: true, State: "Running", Name: "oldpc-1.x.ts.net", Addresses: []string{"100.64.0.9"}, KeyExpiry: &soon, Health: []string{"no relay"}}
	got := graded(tailnet.Check(s, "oldpc", []string{"tag:homelab"}, now))
	for _, want := range []string{"calls it oldpc-1", "lacks the tags tag:homelab", "expires on 2026-11-28", "warn no relay"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not said:\n%s", want, got)
		}
	}
}

func TestUninstallLeavesTheTailnetAndOtherPeoplesProgramsAlone(t *testing.T) {
	b := newBench(t)
	b.install()
	c := b.box.Connect(t)
	if there, err := tailnet.Installed(t.Context(), c); !there || err != nil {
		t.Fatal(there, err)
	}
	var said []string
	if err := tailnet.Uninstall(t.Context(), c, func(line string) { said = append(said, line) }); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/usr/sbin/tailscaled", "/usr/bin/tailscale", "/etc/default/tailscaled", tailnet.StateFile, "/var/lib/ssg-bootstrap/tailscale.record"} {
		if b.box.Exists(path) {
			t.Errorf("%s is still there", path)
		}
	}
	if got := b.devices(); got != "" || b.box.Systemd.Unit("tailscaled").Enabled {
		t.Errorf("the tailnet has %s; it was said %q", got, said)
	}
	b.box.WriteFile("/usr/bin/tailscale", "from a package", 0o755)
	if err := tailnet.Uninstall(context.WithoutCancel(t.Context()), c, nil); err != nil || !b.box.Exists("/usr/bin/tailscale") {
		t.Errorf("somebody else's is gone: %v", err)
	}
}
