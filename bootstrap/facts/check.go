package facts

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Requirements are what a profile asks of the box; zero asks for nothing.
type Requirements struct {
	Memory   int64
	Disk     int64
	Cores    int
	FsyncP95 time.Duration
}

// Measured is what was measured besides the facts; nil was not measured.
type Measured struct {
	Link *Link
	Disk *Disk
}

// Bounds that do not depend on the profile.
const (
	// leastMemory is where k3s and the system alone no longer fit: what the
	// kernel reports of 1 GB.
	leastMemory = 900 << 20
	// leastDisk holds k3s, its images and room to unpack them.
	leastDisk = 2 << 30
	// clockTolerance is what the time step mends without asking; a clock that
	// is off by more than a day more likely comes from a dead battery or from
	// this computer, and certificates made under it would be worthless.
	clockTolerance = 2 * time.Second
	clockRefused   = 24 * time.Hour
	// leastLink is 256 kbit/s.
	leastLink = 32 << 10
)

// Check judges the facts. It returns one finding for each thing looked at, in
// a fixed order.
func Check(f Facts, want Requirements, m Measured) []Finding {
	c := &checker{f: f, want: want}
	c.distribution()
	c.cpu()
	c.memory()
	c.disk()
	c.kernel()
	c.clock()
	c.network()
	c.ports()
	c.firewall()
	c.software()
	c.measured(m)
	return c.out
}

type checker struct {
	f    Facts
	want Requirements
	out  []Finding
}

func (c *checker) add(g Grade, check, remedy, format string, args ...any) {
	c.out = append(c.out, Finding{Grade: g, Check: check, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (c *checker) distribution() {
	d := c.f.Distribution
	family := append([]string{d.ID}, d.Like...)
	switch {
	case !c.f.Systemd:
		c.add(Refuse, "distribution", "install Debian 12 or 13, or Ubuntu 24.04; k3s runs as a systemd service", "%s does not run systemd", d.Name)
	case slices.Contains([]string{"debian", "ubuntu"}, d.ID):
		c.add(OK, "distribution", "", "%s, kernel %s", d.Name, c.f.Kernel)
	case slices.Contains(family, "debian"):
		c.add(Warn, "distribution", "Debian 12 or 13, or Ubuntu 24.04, are what this is tested on", "%s is only a relative of Debian", d.Name)
	default:
		c.add(Refuse, "distribution", "install Debian 12 or 13, or Ubuntu 24.04", "%s is neither Debian nor Ubuntu", d.Name)
	}
}

func (c *checker) cpu() {
	cpu := c.f.CPU
	if c.f.Arch != "x86_64" || cpu.Level == 0 {
		c.add(Refuse, "cpu", "use a 64-bit Intel or AMD PC", "the CPU is %s, and the artifacts are for x86-64", c.f.Arch)
		return
	}
	switch about := fmt.Sprintf("%s, %d cores, x86-64-v%d", cpu.Model, cpu.Cores, cpu.Level); {
	case cpu.Cores < c.want.Cores:
		c.add(Warn, "cpu", "expect waits to take longer, or choose a smaller profile", "%s; the profile wants %d cores", about, c.want.Cores)
	case cpu.Level < 2:
		c.add(Note, "cpu", "keep to images built for x86-64-v1: Alpine, Debian or Ubuntu based; not UBI 9 or later, Wolfi or MongoDB 5 or later",
			"%s: images that need v2 do not run (it lacks %s)", about, strings.Join(cpu.Lacks, " "))
	default:
		c.add(OK, "cpu", "", "%s", about)
	}
}

func (c *checker) memory() {
	switch have := c.f.Memory.Total; {
	case have < leastMemory:
		c.add(Refuse, "memory", "put in more RAM; 4 GiB is what the reference box has", "%s of RAM is less than k3s itself needs", bytesText(have))
	// The kernel and its graphics keep up to a tenth of what is built in.
	case have < c.want.Memory-c.want.Memory/10:
		c.add(Refuse, "memory", "choose a profile for less RAM (`ssg-bootstrap profiles list`), or put in more", "%s of RAM; the profile wants %s", bytesText(have), bytesText(c.want.Memory))
	default:
		c.add(OK, "memory", "", "%s of RAM, %s free for programs", bytesText(have), bytesText(c.f.Memory.Available))
	}
}

func (c *checker) disk() {
	for _, fs := range c.f.FileSystems {
		at := fs.Path
		kind := "solid-state or virtual"
		if fs.Rotational {
			kind = "spinning"
		}
		switch least := max(c.want.Disk, leastDisk); {
		case fs.ReadOnly:
			c.add(Refuse, "disk", "look at `dmesg` for disk errors, then `mount -o remount,rw "+fs.Mount+"`", "%s (%s on %s) is mounted read-only", at, fs.Source, fs.Mount)
		case fs.Path != "/" && fs.Free < leastDisk:
			c.add(Refuse, "disk", "free space on "+fs.Mount+"; `du -xh -d2 "+fs.Mount+" | sort -h | tail` shows what is large", "%s has %s free; k3s and its images need %s", at, bytesText(fs.Free), bytesText(leastDisk))
		case fs.Path != "/" && fs.Free < least:
			c.add(Warn, "disk", "free space on "+fs.Mount, "%s has %s free; the profile wants %s", at, bytesText(fs.Free), bytesText(least))
		default:
			c.add(OK, "disk", "", "%s: %s free of %s (%s, %s)", at, bytesText(fs.Free), bytesText(fs.Size), fs.Type, kind)
		}
	}
}

func (c *checker) kernel() {
	switch {
	case len(c.f.Controllers) == 0:
		c.add(Refuse, "cgroups", "add systemd.unified_cgroup_hierarchy=1 to GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub and reboot", "the box uses cgroup v1, which the kubelet refuses")
	case !slices.Contains(c.f.Controllers, "memory"):
		c.add(Refuse, "cgroups", "add cgroup_enable=memory to GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub and reboot", "cgroup v2 is there without its memory controller")
	default:
		c.add(OK, "cgroups", "", "cgroup v2")
	}
	var missing, optional []string
	for name, state := range c.f.Modules {
		switch {
		case state != ModuleMissing:
		case name == "zram" || name == "vxlan":
			optional = append(optional, name)
		default:
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	slices.Sort(optional)
	switch remedy := "install the distribution's full kernel (Debian: `apt-get install linux-image-amd64`) and reboot"; {
	case len(missing) > 0:
		c.add(Refuse, "kernel-modules", remedy, "the kernel %s has no %s", c.f.Kernel, strings.Join(missing, ", "))
	case len(optional) > 0:
		c.add(Warn, "kernel-modules", remedy, "the kernel %s has no %s; what needs it is left out", c.f.Kernel, strings.Join(optional, ", "))
	default:
		c.add(OK, "kernel-modules", "", "all there")
	}
}

func (c *checker) clock() {
	k := c.f.Clock
	off := k.Skew.Round(time.Second)
	switch {
	case k.Wrong(clockRefused):
		c.add(Refuse, "clock", "see which clock is wrong; on the box: `timedatectl set-time`, and change the battery of an old mainboard", "the box's clock differs from this computer's by %s", off)
	case k.Wrong(clockTolerance) && !k.Synchronized:
		c.add(Note, "clock", "nothing to do: install sets it", "the box's clock is off by %s", off)
	case k.Wrong(clockTolerance):
		c.add(Note, "clock", "check this computer's clock", "the box's clock is synchronised and differs from this computer's by %s", off)
	default:
		c.add(OK, "clock", "", "right to within %s", max(k.Uncertainty, k.Skew.Abs()).Round(100*time.Millisecond))
	}
}

func (c *checker) network() {
	n := c.f.Network
	if n.DefaultDevice == "" {
		c.add(Refuse, "default-route", "bring up the network, or give k3s a route of last resort: `ip link add dummy0 type dummy && ip link set dummy0 up && ip addr add 203.0.113.254/31 dev dummy0 && ip route add default via 203.0.113.255 dev dummy0 metric 1000`",
			"there is no default route; k3s cannot find its own address without one")
	} else {
		c.add(OK, "default-route", "", "via %s on %s (%s)", n.Gateway, n.DefaultDevice, strings.Join(n.LAN(), ", "))
	}
	if len(n.Nameservers) == 0 {
		c.add(Warn, "dns", "put a nameserver into /etc/resolv.conf, or have DHCP do it", "no nameserver is configured; pods cannot resolve names outside the cluster")
	} else {
		c.add(OK, "dns", "", "%s", strings.Join(n.Nameservers, ", "))
	}
}

// ports refuses what would keep k3s from listening. 80 and 443 are forwarded
// by the kernel before a local listener sees them, so they only warn.
func (c *checker) ports() {
	taken := false
	for _, l := range c.f.Listeners {
		if l.Unit == "k3s.service" {
			continue
		}
		taken = true
		who := l.Process
		if who == "" {
			who = "a process that ss cannot name"
		}
		stop := fmt.Sprintf("stop %s (`kill %d`)", who, l.PID)
		if l.Unit != "" {
			stop = fmt.Sprintf("stop it: `systemctl disable --now %s`", l.Unit)
		}
		if l.Port == 80 || l.Port == 443 {
			c.add(Warn, "ports", stop, "port %d is used by %s (pid %d); the ingress takes it over", l.Port, who, l.PID)
			continue
		}
		c.add(Refuse, "ports", stop, "port %d is used by %s (pid %d); k3s needs it", l.Port, who, l.PID)
	}
	if !taken {
		c.add(OK, "ports", "", "6443, 10250, 80 and 443 are free or k3s's own")
	}
}

func (c *checker) firewall() {
	const pods = "10.42.0.0/16 and 10.43.0.0/16"
	switch w := c.f.Firewall; {
	case w.UFW:
		c.add(Warn, "firewall", "`ufw allow from 10.42.0.0/16 && ufw allow from 10.43.0.0/16 && ufw allow 80,443/tcp`, or `ufw disable`", "ufw filters packets; it must let %s through, or pods cannot reach anything", pods)
	case w.Firewalld:
		c.add(Warn, "firewall", "`firewall-cmd --permanent --zone=trusted --add-source=10.42.0.0/16 --add-source=10.43.0.0/16 && firewall-cmd --permanent --add-service=http --add-service=https && firewall-cmd --reload`", "firewalld filters packets; it must let %s through, or pods cannot reach anything", pods)
	default:
		c.add(OK, "firewall", "", "neither ufw nor firewalld; our own table closes the API to the LAN")
	}
}

func (c *checker) software() {
	if len(c.f.OtherKubernetes) > 0 {
		c.add(Refuse, "other-kubernetes", "remove it, or use another box", "another Kubernetes is installed: %s", strings.Join(c.f.OtherKubernetes, ", "))
	}
	if len(c.f.MissingTools) == 0 {
		c.add(OK, "tools", "", "all there")
		return
	}
	c.add(Refuse, "tools", "`apt-get install "+strings.Join(packagesOf(c.f.MissingTools), " ")+"`", "the box lacks %s", strings.Join(c.f.MissingTools, ", "))
}

// packagesOf names the Debian packages that hold the tools.
func packagesOf(tools []string) []string {
	names := map[string]string{
		"nft": "nftables", "ip": "iproute2", "ss": "iproute2", "modprobe": "kmod", "sysctl": "procps",
		"systemd-run": "systemd", "mkswap": "util-linux", "swapon": "mount", "awk": "mawk", "openssl": "openssl",
	}
	var out []string
	for _, t := range tools {
		p := names[t]
		if p == "" {
			p = "coreutils"
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func (c *checker) measured(m Measured) {
	if d := m.Disk; d != nil {
		p95 := d.FsyncP95.Round(100 * time.Microsecond)
		if c.want.FsyncP95 > 0 && d.FsyncP95 > c.want.FsyncP95 {
			c.add(Warn, "fsync", "expect a slow start; an SSD, even a small one for /var/lib/rancher, helps more than anything else", "95 of 100 fsyncs take up to %s; the profile reckons with %s", p95, c.want.FsyncP95)
		} else {
			c.add(OK, "fsync", "", "95 of 100 fsyncs take up to %s", p95)
		}
	}
	if l := m.Link; l != nil {
		rate := fmt.Sprintf("%.1f Mbit/s, %s for an empty command", l.Rate*8/1e6, l.RTT.Round(time.Millisecond))
		if l.Rate < leastLink {
			c.add(Warn, "link", "check cable and adapter; transfers resume, so it will finish, but it takes long", "%s", rate)
		} else {
			c.add(OK, "link", "", "%s", rate)
		}
	}
}

func bytesText(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
