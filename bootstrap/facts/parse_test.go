package facts

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sample(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/core2duo.facts")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseCore2Duo(t *testing.T) {
	f, clock, err := parse([]byte(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := Facts{
		HostName: "oldpc", Arch: "x86_64", Kernel: "6.12.107+deb13-amd64", BootID: "cffb4a03-48b9-4a23-9de4-afa710fe6543",
		Distribution: Distribution{ID: "debian", Version: "13", Name: "Debian GNU/Linux 13 (trixie)"},
		CPU: CPU{Model: "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz", Cores: 2, Level: 1,
			Lacks: []string{"popcnt", "sse4_1", "sse4_2"}},
		Memory:      Memory{Total: 4016548 << 10, Available: 3741780 << 10, Swap: 2008264 << 10, Zram: 2008260 << 10},
		Systemd:     true,
		Controllers: []string{"cpuset", "cpu", "io", "memory", "pids"},
		Modules:     map[string]Module{"br_netfilter": ModuleAvailable, "overlay": ModuleLoaded, "zram": ModuleMissing},
		FileSystems: []FileSystem{
			{Path: "/", Mount: "/", Source: "/dev/sda1", Type: "ext4", Size: 491107581952, Free: 465716375552, Rotational: true},
			{Path: "/var/lib/rancher", Mount: "/mnt/with space", Source: "/dev/sdb1", Type: "xfs", Size: 100, Free: 50, ReadOnly: true},
		},
		Clock: Clock{Synchronized: true, Service: "systemd-timesyncd"},
		Network: Network{DefaultDevice: "enp3s0", Gateway: "192.168.1.1", Nameservers: []string{"192.168.1.1"},
			Addresses: []Address{{"enp3s0", "192.168.1.20/24"}, {"enp3s0", "fd00::20/64"}, {"tun0", "10.9.0.2/32"}}},
		Listeners: []Listener{
			{Address: "*", Port: 6443, Process: "k3s-server", PID: 812, Unit: "k3s.service"},
			{Address: "0.0.0.0", Port: 80, Process: "nginx", PID: 411, Unit: "nginx.service"},
			{Address: "[::1]", Port: 10250},
		},
		Firewall:        Firewall{UFW: true},
		MissingTools:    []string{"nft"},
		K3s:             K3s{Binary: true, Unit: true, Datastore: true, Active: true},
		OtherKubernetes: []string{"rke2-server"},
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
	if got := clock.last.Sub(clock.first); got.Round(time.Millisecond) != 60*time.Millisecond {
		t.Errorf("between the clock's readings: %s", got)
	}
	if got := f.Network.LAN(); !reflect.DeepEqual(got, []string{"192.168.1.20", "fd00::20"}) {
		t.Errorf("LAN addresses: %v", got)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	whole := sample(t)
	for name, c := range map[string]struct{ in, want string }{
		"empty":        {"", "not whole"},
		"cut short":    {whole[:len(whole)/2], "not whole"},
		"unknown key":  {strings.Replace(whole, "kernel=", "colonel=", 1), "colonel: not a fact we know"},
		"twice":        {strings.Replace(whole, "kernel=", "kernel=6\nkernel=", 1), "kernel: said twice"},
		"two missing":  {strings.Replace(strings.Replace(whole, "hostname=oldpc\n", "", 1), "arch=x86_64\n", "", 1), "did not say: arch, hostname"},
		"bad number":   {strings.Replace(whole, "mem.total=4016548", "mem.total=much", 1), "mem.total: not a number"},
		"bad module":   {strings.Replace(whole, "overlay loaded", "overlay perhaps", 1), "no such state"},
		"escape codes": {strings.Replace(whole, "hostname=oldpc", "hostname=\x1b[2Joldpc", 1), "not key=value"},
	} {
		_, _, err := parse([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want it to hold %q", name, err, c.want)
		}
	}
}

func TestSkewIsBracketed(t *testing.T) {
	base := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, off := range []time.Duration{0, time.Hour, -365 * 24 * time.Hour} {
		c := clockReading{first: base.Add(300*time.Millisecond + off), last: base.Add(700*time.Millisecond + off)}
		skew, by := c.skew(base, base.Add(time.Second))
		if d := (skew - off).Abs(); d > by {
			t.Errorf("off by %s: skew %s ± %s", off, skew, by)
		}
		if by != 300*time.Millisecond {
			t.Errorf("off by %s: uncertainty %s", off, by)
		}
	}
}

func TestLevels(t *testing.T) {
	v2 := []string{"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}
	v3 := append([]string{"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}, v2...)
	v4 := append([]string{"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}, v3...)
	for want, flags := range [][]string{1: {"lm", "ssse3", "sse4_1"}, 2: v2, 3: v3, 4: v4} {
		if want == 0 {
			continue
		}
		if got, _ := level(flags); got != want {
			t.Errorf("level of %v is %d, want %d", flags, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample(f))
	f.Add("facts 1\nend\n")
	f.Add("facts 1\nlisten=x|((|\ndisk=/ rw 1 a b c d e\nend\n")
	f.Fuzz(func(t *testing.T, in string) {
		got, _, err := parse([]byte(in))
		if err == nil && (got.HostName == "" && !strings.Contains(in, "hostname=")) {
			t.Error("accepted an answer without a host name")
		}
	})
}

func TestParseFsync(t *testing.T) {
	out := "4096 bytes (4.1 kB, 4.0 KiB) copied, 0.0123 s, 333 kB/s\n4096 bytes (4.1 kB, 4.0 KiB) copied, 8e-05 s, 51 MB/s\n"
	d, err := parseFsync([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	if d.Samples != 2 || d.FsyncMax != 12300*time.Microsecond || d.FsyncP50 != 80*time.Microsecond {
		t.Errorf("got %+v", d)
	}
	for _, bad := range []string{"", "nonsense\n", "copied, NaN s,\n", "copied, -1 s,\n", "copied, 1e99 s,\n"} {
		if _, err := parseFsync([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func FuzzParseFsync(f *testing.F) {
	f.Add("4096 bytes copied, 0.1 s, 3 kB/s\n")
	f.Fuzz(func(t *testing.T, in string) {
		d, err := parseFsync([]byte(in))
		if err == nil && (d.FsyncP50 > d.FsyncP95 || d.FsyncP95 > d.FsyncMax || d.FsyncMax < 0) {
			t.Errorf("percentiles out of order: %+v", d)
		}
	})
}
