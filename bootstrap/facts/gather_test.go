package facts_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s/k3stest"
)

func gather(t *testing.T, m *k3stest.Machine) facts.Facts {
	t.Helper()
	f, err := facts.Gather(t.Context(), host.ReadOnly(m.Connect(t)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func refused(f facts.Facts) string {
	var out []string
	for _, r := range facts.Refused(facts.Check(f, facts.Requirements{Memory: 1800 << 20, Disk: 20e9}, facts.Measured{})) {
		out = append(out, r.Check+": "+r.Text)
	}
	return strings.Join(out, "\n")
}

func TestGatherTakesOneCommandAndLeavesNoTrace(t *testing.T) {
	m := k3stest.Debian(hosttest.New(t, hosttest.Config{}))
	c := m.Connect(t)
	before, execs := m.Files(), m.Link.Execs()
	f, err := facts.Gather(t.Context(), host.ReadOnly(c))
	if err != nil {
		t.Fatal(err)
	}
	// Becoming root is probed once in a connection's life.
	if n := m.Link.Execs() - execs; n > 2 {
		t.Errorf("it took %d commands", n)
	}
	if strings.Join(before, "\n") != strings.Join(m.Files(), "\n") {
		t.Error("looking changed the box")
	}
	if text := refused(f); text != "" {
		t.Errorf("a fresh Debian is refused: %s", text)
	}
	if f.Distribution.ID != "debian" || f.CPU.Cores != 2 || f.CPU.Level != 1 || f.Memory.Total != 4016548<<10 ||
		!f.FileSystems[0].Rotational || f.Network.DefaultDevice != "enp3s0" || !f.Clock.Synchronized || !f.Systemd {
		t.Errorf("%+v", f)
	}
	if f.Clock.Wrong(time.Second) {
		t.Errorf("the clock is right and said to be off by %s ± %s", f.Clock.Skew, f.Clock.Uncertainty)
	}
}

func TestWhatIsWrongWithTheBoxIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*testing.T, *k3stest.Machine)
		want  string
	}{
		"ARM": {func(_ *testing.T, m *k3stest.Machine) {
			m.WriteFile("/proc/sys/kernel/arch", "aarch64\n", 0o444)
			m.WriteFile("/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\n", 0o444)
		}, "cpu: the CPU is aarch64"},
		"Fedora": {func(_ *testing.T, m *k3stest.Machine) {
			m.WriteFile("/etc/os-release", "ID=fedora\nPRETTY_NAME='Fedora 43'\n", 0o644)
		}, "distribution: Fedora 43 is neither"},
		"512 MB":     {func(_ *testing.T, m *k3stest.Machine) { m.WriteFile("/proc/meminfo", "MemTotal: 491520 kB\n", 0o444) }, "memory: 480 MiB of RAM"},
		"cgroup v1":  {func(t *testing.T, m *k3stest.Machine) { remove(t, m, "/sys/fs/cgroup/cgroup.controllers") }, "cgroups: the box uses cgroup v1"},
		"a year off": {func(_ *testing.T, m *k3stest.Machine) { m.Skew = -365 * 24 * time.Hour }, "clock: the box's clock differs"},
		"6443 in use": {func(_ *testing.T, m *k3stest.Machine) {
			m.Listeners = []string{`LISTEN 0 4096 *:6443 *:* users:(("kube-apiserver",pid=4242,fd=7))`}
		}, "ports: port 6443 is used by kube-apiserver (pid 4242)"},
		"disk is full": {func(_ *testing.T, m *k3stest.Machine) { m.Command("df", full) }, "disk: /var/lib/rancher has 12 MiB free"},
		"no route":     {func(_ *testing.T, m *k3stest.Machine) { m.Command("ip", func(*hosttest.Call) int { return 0 }) }, "default-route: there is no default route"},
		"no systemd":   {func(t *testing.T, m *k3stest.Machine) { remove(t, m, "/run/systemd/system") }, "does not run systemd"},
		"no modules":   {func(_ *testing.T, m *k3stest.Machine) { m.Command("modprobe", func(*hosttest.Call) int { return 1 }) }, "kernel-modules: the kernel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := k3stest.Debian(hosttest.New(t, hosttest.Config{}))
			c.spoil(t, m)
			if got := refused(gather(t, m)); !strings.Contains(got, c.want) {
				t.Errorf("refused for %q, want %q", got, c.want)
			}
		})
	}
}

func remove(t *testing.T, m *k3stest.Machine, path string) {
	t.Helper()
	if err := os.RemoveAll(m.Path(path)); err != nil {
		t.Fatal(err)
	}
}

func full(c *hosttest.Call) int {
	c.Printf("Filesystem Type 1B-blocks Avail Mounted on\n/dev/sda1 ext4 490000000000 12582912 /\n/dev/sda1 ext4 490000000000 12582912 /\n")
	return 0
}

func TestMeasureLinkAndDisk(t *testing.T) {
	m := k3stest.Debian(hosttest.New(t, hosttest.Config{}))
	c := m.Connect(t)
	before := m.Files()
	link, err := facts.MeasureLink(t.Context(), host.ReadOnly(c), facts.EnoughForAForecast, facts.EnoughForAnyLink)
	if err != nil {
		t.Fatal(err)
	}
	if link.Rate <= 0 || link.Bytes < 32<<10 {
		t.Errorf("%+v", link)
	}
	if strings.Join(before, "\n") != strings.Join(m.Files(), "\n") {
		t.Error("measuring the link changed the box")
	}
	disk, err := facts.MeasureDisk(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if disk.Samples < 10 || disk.FsyncP50 <= 0 || disk.FsyncP95 < disk.FsyncP50 {
		t.Errorf("%+v", disk)
	}
	for _, line := range m.Files() {
		if strings.Contains(line, "fsync") {
			t.Errorf("the probe was left: %s", line)
		}
	}
}
