package k3s_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s/k3stest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// again plans and installs on a box that was installed before, and returns the
// plan and how often k3s was started by it.
func (b *bench) again() (step.Plan, int) {
	b.t.Helper()
	before := b.machine.Systemd.Unit("k3s").Starts
	plan := b.install()
	if left := b.plan(); !left.Empty() {
		b.t.Errorf("something is left to do:\n%s", describe(left))
	}
	return plan, b.machine.Systemd.Unit("k3s").Starts - before
}

func TestChangedFlagRestartsOnce(t *testing.T) {
	b := newBench(t)
	b.install()
	b.spec.Profile.K3s.APIServerArgs = maps.Clone(b.spec.Profile.K3s.APIServerArgs)
	b.spec.Profile.K3s.APIServerArgs["max-requests-inflight"] = "150"
	plan, starts := b.again()
	if starts != 1 {
		t.Errorf("k3s was started %d times", starts)
	}
	text := describe(plan)
	if !strings.Contains(text, "update /etc/rancher/k3s/config.yaml") || !strings.Contains(text, "restart k3s.service") {
		t.Errorf("the plan does not say so:\n%s", text)
	}
	for _, s := range plan.Steps {
		for _, c := range s.Changes {
			if c.Object == "/etc/rancher/k3s/config.yaml" && !strings.Contains(c.Diff, "+- max-requests-inflight=150") && !strings.Contains(c.Diff, "+  - max-requests-inflight=150") {
				t.Errorf("the diff does not show the flag:\n%s", c.Diff)
			}
		}
	}
}

func TestEachThingThatK3sLoadsRestartsItOnce(t *testing.T) {
	for name, change := range map[string]func(*bench){
		"memory limit": func(b *bench) { b.spec.Profile.K3s.GoMemLimit = "900MiB" },
		"kubelet": func(b *bench) {
			b.spec.Profile.K3s.Kubelet = maps.Clone(b.spec.Profile.K3s.Kubelet)
			b.spec.Profile.K3s.Kubelet["maxPods"] = 30
		},
		"name in the certificate": func(b *bench) { b.spec.TLSSANs = append(b.spec.TLSSANs, "oldpc.example") },
		"release":                 func(b *bench) { b.store = k3stest.NewRelease(b.t, "v1.36.5+k3s1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.install()
			change(b)
			if _, starts := b.again(); starts != 1 {
				t.Errorf("k3s was started %d times", starts)
			}
		})
	}
}

func TestCommentRestartsNothing(t *testing.T) {
	for _, path := range []string{"/etc/rancher/k3s/config.yaml", "/etc/default/k3s", "/etc/systemd/system/k3s.service", "/usr/local/bin/k3s-killall.sh"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.install()
			content := b.machine.ReadFile(path)
			info, err := os.Stat(b.machine.Path(path))
			if err != nil {
				t.Fatal(err)
			}
			b.machine.WriteFile(path, content+"# an older comment\n", info.Mode().Perm())
			plan, starts := b.again()
			if starts != 0 {
				t.Errorf("k3s was started %d times; plan:\n%s", starts, describe(plan))
			}
			if b.machine.ReadFile(path) != content {
				t.Error("the file was not put right")
			}
		})
	}
}

const foreignConfig = "token: K10canary-7f3a\nnode-name: byhand\nkube-apiserver-arg:\n  - event-ttl=2h\n"

func TestForeignConfigurationIsShownAndKept(t *testing.T) {
	b := newBench(t)
	b.machine.WriteFile("/etc/rancher/k3s/config.yaml", foreignConfig, 0o600)
	before := b.machine.Files()
	plan, err := b.run(t.Context(), step.Options{})
	if fault.CodeOf(err) != fault.ForeignConfig || fault.ExitOf(err) != fault.ExitPreflight {
		t.Fatalf("error is %v", err)
	}
	if after := b.machine.Files(); !slices.Equal(before, after) {
		t.Errorf("the box was changed:\n%s", difference(before, after))
	}
	shown := fault.EvidenceOf(err)
	if !strings.Contains(shown, "-node-name: byhand") || !strings.Contains(shown, "+node-name: oldpc") {
		t.Errorf("the diff is not shown:\n%s", shown)
	}
	if strings.Contains(shown+describe(plan), "canary") {
		t.Error("the token is shown")
	}
}

func TestForeignConfigurationIsAdoptedWhenAsked(t *testing.T) {
	b := newBench(t)
	b.machine.WriteFile("/etc/rancher/k3s/config.yaml", foreignConfig, 0o600)
	if _, err := b.run(t.Context(), step.Options{Adopt: true}); err != nil {
		t.Fatal(err)
	}
	if left := b.plan(); !left.Empty() {
		t.Errorf("something is left to do:\n%s", describe(left))
	}
}

func TestForeignProgramIsKept(t *testing.T) {
	b := newBench(t)
	b.machine.WriteFile("/usr/local/bin/k3s", "k3s v1.35.0+k3s1 by hand", 0o755)
	_, err := b.run(t.Context(), step.Options{})
	if fault.CodeOf(err) != fault.ForeignConfig {
		t.Fatalf("error is %v", err)
	}
}

func TestOlderMinorVersionIsRefused(t *testing.T) {
	b := newBench(t)
	b.install()
	b.store = k3stest.NewRelease(t, "v1.35.9+k3s1")
	_, err := b.run(t.Context(), step.Options{})
	if fault.CodeOf(err) != fault.PreflightRefused || !strings.Contains(fault.NextOf(err), "v1.36") {
		t.Errorf("error is %v, next: %s", err, fault.NextOf(err))
	}
}

func TestHalfWrittenFilesAreReplaced(t *testing.T) {
	_, _, want := uncut(t)
	for name, content := range map[string]string{"empty": "", "zeros": "\x00\x00\x00\x00", "cut": "# Managed by ssg-bootstrap\nnode-na"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for _, path := range []string{
				"/etc/rancher/k3s/config.yaml", "/etc/default/k3s", "/etc/systemd/system/k3s.service",
				"/etc/sysctl.d/90-ssg-bootstrap.conf", "/etc/ssg-bootstrap/firewall.nft", "/var/lib/ssg-bootstrap/k3s.digest",
				"/var/lib/ssg-bootstrap/k3s.record",
			} {
				b.machine.WriteFile(path, content, 0o600)
			}
			b.mustConverge(want)
		})
	}
}

func TestDamagedProgramIsSentAgain(t *testing.T) {
	b := newBench(t)
	b.install()
	good := b.machine.ReadFile("/usr/local/bin/k3s")
	b.machine.WriteFile("/usr/local/bin/k3s", strings.Replace(good, "x", "y", 1), 0o755)
	if _, starts := b.again(); starts != 0 {
		t.Errorf("k3s was started %d times for a file that it had loaded before it was damaged", starts)
	}
	if b.machine.ReadFile("/usr/local/bin/k3s") != good {
		t.Error("the program is still damaged")
	}
}

func TestABitThatFlippedIsFoundAndMended(t *testing.T) {
	const program = "/usr/local/bin/k3s"
	b := newBench(t)
	audit := func() string {
		t.Helper()
		found, err := k3s.Audit(t.Context(), host.ReadOnly(b.machine.Connect(t)))
		if err != nil {
			t.Fatal(err)
		}
		var grades []string
		for _, f := range found {
			grades = append(grades, string(f.Grade))
		}
		return strings.Join(grades, " ")
	}
	if got := audit(); got != "" {
		t.Errorf("without k3s: %s", got)
	}
	b.install()
	if got := audit(); got != "ok ok" {
		t.Errorf("after an install: %s", got)
	}
	good := b.machine.ReadFile(program)
	info, err := os.Stat(b.machine.Path(program))
	if err != nil {
		t.Fatal(err)
	}
	b.machine.WriteFile(program, strings.Replace(good, "x", "y", 1), 0o755)
	if err := os.Chtimes(b.machine.Path(program), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if left := b.plan(); !left.Empty() {
		t.Fatalf("a plan finds it as well, so this test proves little:\n%s", describe(left))
	}
	if got := audit(); got != "warn ok" {
		t.Errorf("with a flipped bit: %s", got)
	}
	b.machine.Exec("touch " + program)
	b.install()
	if b.machine.ReadFile(program) != good {
		t.Error("the program is still damaged")
	}
}

func TestPowerCutComesBackByItself(t *testing.T) {
	b := newBench(t)
	b.install()
	b.machine.PowerCut()
	if left := b.plan(); !left.Empty() {
		t.Errorf("after a power cut something is left to do:\n%s", describe(left))
	}
}

func TestFlushedFirewallIsLoadedAgain(t *testing.T) {
	b := newBench(t)
	b.install()
	b.machine.FlushRuleset()
	plan, starts := b.again()
	if !strings.Contains(describe(plan), "firewall: start") || starts != 0 {
		t.Errorf("%d starts of k3s; plan:\n%s", starts, describe(plan))
	}
}

func TestWrongClockIsSet(t *testing.T) {
	b := newBench(t)
	b.machine.Skew = -3 * time.Hour
	if err := os.Remove(b.machine.Path("/run/systemd/timesync/synchronized")); err != nil {
		t.Fatal(err)
	}
	plan, _ := b.again()
	// A look that takes long knows no better than that how far it is off.
	const sure = 5 * time.Second
	_, says, _ := strings.Cut(describe(plan), "clock: update clock (off by ")
	says, _, _ = strings.Cut(says, ",")
	if off, err := time.ParseDuration(says); err != nil || (off+3*time.Hour).Abs() > sure {
		t.Errorf("it is said to be off by %q:\n%s", says, describe(plan))
	}
	if off := b.machine.Skew.Abs(); off > sure {
		t.Errorf("the clock is still off by %s", off)
	}
}

func TestSynchronisedClockIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.machine.Skew = 20 * time.Minute
	if text := describe(b.plan()); strings.Contains(text, "clock:") {
		t.Errorf("plan:\n%s", text)
	}
}

func TestSlowStartIsFollowed(t *testing.T) {
	b := newBench(t)
	b.machine.Probes = 2
	b.install()
	var notes []string
	for _, e := range b.events {
		if e.Kind == step.StepNote && e.Step == "k3s-server" {
			notes = append(notes, e.Text)
		}
	}
	text := strings.Join(notes, "\n")
	for _, want := range []string{"does not answer yet", "poststarthook/rbac/bootstrap-roles", "API server is ready", "node oldpc is Ready"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing was said of %q:\n%s", want, text)
		}
	}
}

func TestDiskFullIsSaid(t *testing.T) {
	b := newBench(t)
	b.machine.Command("sync", func(c *hosttest.Call) int { return c.Errorf("sync: error syncing: No space left on device") })
	_, err := b.run(t.Context(), step.Options{})
	if fault.CodeOf(err) != fault.DiskFull {
		t.Errorf("code %s: %v", fault.CodeOf(err), err)
	}
}
