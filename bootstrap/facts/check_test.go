package facts

import (
	"strings"
	"testing"
	"time"
)

// good is a box that nothing speaks against.
func good() Facts {
	return Facts{
		Arch: "x86_64", Kernel: "6.12", Systemd: true,
		Distribution: Distribution{ID: "debian", Name: "Debian 13"},
		CPU:          CPU{Model: "Core 2", Cores: 2, Level: 2},
		Memory:       Memory{Total: 3900 << 20, Available: 3700 << 20},
		Controllers:  []string{"cpu", "memory"},
		Modules:      map[string]Module{"overlay": ModuleLoaded, "br_netfilter": ModuleAvailable, "zram": ModuleAvailable},
		FileSystems: []FileSystem{
			{Path: "/", Mount: "/", Source: "/dev/sda1", Type: "ext4", Size: 490e9, Free: 465e9},
			{Path: "/var/lib/rancher", Mount: "/", Source: "/dev/sda1", Type: "ext4", Size: 490e9, Free: 465e9},
		},
		Clock:   Clock{Synchronized: true, Service: "systemd-timesyncd", Uncertainty: 200 * time.Millisecond},
		Network: Network{DefaultDevice: "eth0", Gateway: "192.168.1.1", Nameservers: []string{"192.168.1.1"}, Addresses: []Address{{"eth0", "192.168.1.20/24"}}},
	}
}

func reference() Requirements {
	return Requirements{Memory: 1800 << 20, Disk: 20e9, Cores: 2, FsyncP95: 100 * time.Millisecond}
}

func TestGoodBoxHasOnlyOK(t *testing.T) {
	for _, f := range Check(good(), reference(), Measured{}) {
		if f.Grade != OK {
			t.Errorf("%s: %s: %s", f.Grade, f.Check, f.Text)
		}
		if f.Remedy != "" {
			t.Errorf("%s is fine and has a remedy: %s", f.Check, f.Remedy)
		}
	}
}

func TestEachTroubleIsGradedWithItsRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		change       func(*Facts)
		grade        Grade
		check        string
		text, remedy string
	}{
		"fedora":         {func(f *Facts) { f.Distribution = Distribution{ID: "fedora", Name: "Fedora 43"} }, Refuse, "distribution", "Fedora 43 is neither", "Debian 12"},
		"mint":           {func(f *Facts) { f.Distribution = Distribution{ID: "linuxmint", Like: []string{"ubuntu", "debian"}} }, Warn, "distribution", "relative", "tested"},
		"no systemd":     {func(f *Facts) { f.Systemd = false }, Refuse, "distribution", "does not run systemd", "systemd service"},
		"arm":            {func(f *Facts) { f.Arch, f.CPU.Level = "aarch64", 0 }, Refuse, "cpu", "aarch64", "64-bit Intel or AMD"},
		"v1":             {func(f *Facts) { f.CPU.Level, f.CPU.Lacks = 1, []string{"sse4_2"} }, Note, "cpu", "sse4_2", "Alpine"},
		"half a GB":      {func(f *Facts) { f.Memory.Total = 480 << 20 }, Refuse, "memory", "480 MiB", "more RAM"},
		"1.5 GB":         {func(f *Facts) { f.Memory.Total = 1500 << 20 }, Refuse, "memory", "wants 1.8 GiB", "profiles list"},
		"read-only":      {func(f *Facts) { f.FileSystems[0].ReadOnly = true }, Refuse, "disk", "read-only", "remount,rw /"},
		"disk full":      {func(f *Facts) { f.FileSystems[1].Free = 1 << 20 }, Refuse, "disk", "has 1 MiB free", "free space"},
		"little disk":    {func(f *Facts) { f.FileSystems[1].Free = 5 << 30 }, Warn, "disk", "5.0 GiB free", "free space"},
		"cgroup v1":      {func(f *Facts) { f.Controllers = nil }, Refuse, "cgroups", "cgroup v1", "systemd.unified_cgroup_hierarchy=1"},
		"no overlay":     {func(f *Facts) { f.Modules["overlay"] = ModuleMissing }, Refuse, "kernel-modules", "overlay", "linux-image-amd64"},
		"no zram":        {func(f *Facts) { f.Modules["zram"] = ModuleMissing }, Warn, "kernel-modules", "zram", "linux-image-amd64"},
		"a year off":     {func(f *Facts) { f.Clock.Skew = -365 * 24 * time.Hour }, Refuse, "clock", "differs", "timedatectl"},
		"minutes off":    {func(f *Facts) { f.Clock = Clock{Skew: 5 * time.Minute} }, Note, "clock", "off by 5m0s", "install sets it"},
		"no route":       {func(f *Facts) { f.Network.DefaultDevice = "" }, Refuse, "default-route", "no default route", "dummy0"},
		"no DNS":         {func(f *Facts) { f.Network.Nameservers = nil }, Warn, "dns", "no nameserver", "resolv.conf"},
		"6443 taken":     {func(f *Facts) { f.Listeners = []Listener{{Port: 6443, Process: "minikube", PID: 7}} }, Refuse, "ports", "port 6443 is used by minikube (pid 7)", "kill 7"},
		"80 taken":       {func(f *Facts) { f.Listeners = []Listener{{Port: 80, Process: "nginx", PID: 7, Unit: "nginx.service"}} }, Warn, "ports", "nginx", "disable --now nginx.service"},
		"ufw":            {func(f *Facts) { f.Firewall.UFW = true }, Warn, "firewall", "10.42.0.0/16", "ufw allow from 10.42.0.0/16"},
		"firewalld":      {func(f *Facts) { f.Firewall.Firewalld = true }, Warn, "firewall", "10.42.0.0/16", "firewall-cmd"},
		"rke2":           {func(f *Facts) { f.OtherKubernetes = []string{"rke2-server"} }, Refuse, "other-kubernetes", "rke2-server", "remove it"},
		"no nft and dd":  {func(f *Facts) { f.MissingTools = []string{"nft", "dd"} }, Refuse, "tools", "lacks nft, dd", "apt-get install nftables coreutils"},
		"our own server": {func(f *Facts) { f.Listeners = []Listener{{Port: 6443, Process: "k3s-server", Unit: "k3s.service"}} }, OK, "ports", "k3s's own", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			c.change(&f)
			for _, got := range Check(f, reference(), Measured{}) {
				switch {
				case got.Check == c.check && got.Grade == c.grade && strings.Contains(got.Text, c.text) && strings.Contains(got.Remedy, c.remedy):
					return
				case got.Grade != OK:
					t.Logf("%+v", got)
				}
			}
			t.Errorf("no finding is %s %s with %q and %q", c.grade, c.check, c.text, c.remedy)
		})
	}
}

func TestMeasurementsAreGraded(t *testing.T) {
	grades := func(m Measured) (out []Grade) {
		for _, f := range Check(good(), reference(), m) {
			if f.Check == "fsync" || f.Check == "link" {
				out = append(out, f.Grade)
			}
		}
		return out
	}
	slow := grades(Measured{Link: &Link{Rate: 8 << 10}, Disk: &Disk{FsyncP95: 300 * time.Millisecond}})
	fast := grades(Measured{Link: &Link{Rate: 250e3}, Disk: &Disk{FsyncP95: 20 * time.Millisecond}})
	if len(slow) != 2 || slow[0] != Warn || slow[1] != Warn {
		t.Errorf("slow: %v", slow)
	}
	if len(fast) != 2 || fast[0] != OK || fast[1] != OK {
		t.Errorf("fast: %v", fast)
	}
	if none := grades(Measured{}); len(none) != 0 {
		t.Errorf("nothing was measured: %v", none)
	}
}

func TestEveryTroubleHasARemedy(t *testing.T) {
	for _, f := range Check(Facts{}, reference(), Measured{Link: &Link{}, Disk: &Disk{FsyncP95: time.Second}}) {
		if f.Grade != OK && f.Remedy == "" {
			t.Errorf("%s: %q has no remedy", f.Check, f.Text)
		}
	}
	if len(Refused(Check(Facts{}, reference(), Measured{}))) == 0 {
		t.Error("a box of which nothing is known is not refused")
	}
}
