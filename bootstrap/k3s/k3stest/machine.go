// Package k3stest makes of hosttest's box a fresh Debian PC on which k3s can
// be installed.
//
// It keeps the promise that a test which passes has gone through the real
// steps: files are really written, and what needs a machine of its own (kernel,
// nft, swap, k3s and its API) is a model that follows those files and nothing
// else, so that a step which forgets to write or to load something is seen.
package k3stest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

// Machine is a box with the models on it. Its exported fields are set before
// the first connection.
type Machine struct {
	*hosttest.Box
	// Skew is how far the box's clock is ahead.
	Skew time.Duration
	// Listeners are the lines that ss prints.
	Listeners []string
	// Address is the one on the LAN.
	Address string
	// Tailnet is the address in the tailnet, or "".
	Tailnet string
	// Probes is how often k3s is asked after a start before it is Ready.
	Probes int

	mu      sync.Mutex
	sysctls map[string]string
	table   string
	asked   int
	// members are the agents, where the machine is a server, and passwords
	// how many an agent has made.
	members   []member
	passwords int
}

// Debian models a fresh Debian 13 on a Core 2 Duo with 4 GB.
func Debian(box *hosttest.Box) *Machine {
	m := &Machine{Box: box, sysctls: map[string]string{}, Address: "192.168.1.20"}
	m.files()
	for name, model := range map[string]func(*hosttest.Call) int{
		"date": m.date, "df": df, "ip": m.ip, "modprobe": m.modprobe, "nft": m.nft, "openssl": m.openssl,
		"ss": m.ss, "sysctl": m.sysctl, "k3s": m.k3s,
		"mkswap": say(""), "swapon": say(""),
	} {
		box.Command(name, model)
	}
	for _, name := range []string{"systemd-timesyncd", "systemd-journald"} {
		box.WriteFile("/usr/lib/systemd/system/"+name+".service", "[Service]\n", 0o644)
	}
	box.Exec("systemctl enable --now systemd-timesyncd systemd-journald")
	box.Systemd.Define("ssg-bootstrap-firewall", m.startFirewall)
	box.Systemd.Define("ssg-bootstrap-zram", m.startZram)
	box.Systemd.Define("k3s", m.startK3s)
	return m
}

func (m *Machine) files() {
	const cpu = `processor	: 0
model name	: Intel(R) Core(TM)2 Duo CPU     E8400  @ 3.00GHz
flags		: fpu lm constant_tsc sse2 ssse3 cx16 sse4_1 lahf_lm

processor	: 1
model name	: Intel(R) Core(TM)2 Duo CPU     E8400  @ 3.00GHz
flags		: fpu lm constant_tsc sse2 ssse3 cx16 sse4_1 lahf_lm
`
	for path, content := range map[string]string{
		"/etc/os-release":                        "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID=\"13\"\nID=debian\n",
		"/etc/resolv.conf":                       "nameserver 192.168.1.1\n",
		"/proc/cpuinfo":                          cpu,
		"/proc/meminfo":                          "MemTotal:        4016548 kB\nMemAvailable:    3741780 kB\nSwapTotal:             0 kB\n",
		"/proc/swaps":                            "Filename\tType\tSize\tUsed\tPriority\n",
		"/proc/uptime":                           "5230.12 10000.00\n",
		"/proc/sys/kernel/hostname":              "oldpc\n",
		"/proc/sys/kernel/osrelease":             "6.12.48+deb13-amd64\n",
		"/proc/sys/kernel/arch":                  "x86_64\n",
		"/proc/sys/kernel/random/boot_id":        "cffb4a03-48b9-4a23-9de4-afa710fe6543\n",
		"/sys/fs/cgroup/cgroup.controllers":      "cpuset cpu io memory pids\n",
		"/sys/class/block/sda1/queue/rotational": "1\n",
		"/run/systemd/system/.keep":              "",
		"/run/systemd/timesync/synchronized":     "",
	} {
		m.WriteFile(path, content, 0o644)
	}
}

func say(text string) func(*hosttest.Call) int {
	return func(c *hosttest.Call) int {
		c.Printf("%s\n", text)
		return 0
	}
}

func df(c *hosttest.Call) int {
	switch {
	case c.Has("--output=source,fstype,size,avail,target"):
		c.Printf("Filesystem Type 1B-blocks Avail Mounted on\n/dev/sda1 ext4 490000000000 470000000000 /\n/dev/sda1 ext4 490000000000 470000000000 /\n")
	case c.Has("--output=used,avail"):
		c.Printf("Used Avail\n20000000000 470000000000\n")
	default:
		c.Printf("Avail\n470000000000\n")
	}
	return 0
}

// ip is run as `ip -o -batch -`.
func (m *Machine) ip(c *hosttest.Call) int {
	c.Printf("default via 192.168.1.1 dev enp3s0 proto dhcp src %s metric 100 \n", m.Address)
	c.Printf("2: enp3s0    inet %s/24 brd 192.168.1.255 scope global enp3s0\n", m.Address)
	if m.Tailnet != "" {
		c.Printf("3: tailscale0    inet %s/32 scope global tailscale0\n", m.Tailnet)
	}
	return 0
}

func (m *Machine) ss(c *hosttest.Call) int {
	for _, line := range m.Listeners {
		c.Printf("%s\n", line)
	}
	return 0
}

// date never touches the clock of the computer that runs the test.
func (m *Machine) date(c *hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for i, a := range c.Args {
		switch {
		case a == "-s" && i+1 < len(c.Args):
			seconds, err := strconv.ParseInt(strings.TrimPrefix(c.Args[i+1], "@"), 10, 64)
			if err != nil || !c.Root {
				return c.Errorf("date: cannot set date: %v", err)
			}
			m.Skew = time.Until(time.Unix(seconds, 0)).Round(time.Second)
			return 0
		case a == "-d" && i+1 < len(c.Args):
			at, err := time.Parse("Mon 2006-01-02 15:04:05 MST", c.Args[i+1])
			if err != nil {
				return c.Errorf("date: %v", err)
			}
			c.Printf("%d\n", at.Unix())
			return 0
		}
	}
	now = now.Add(m.Skew)
	if c.Has("+%s.%N") {
		c.Printf("%d.%09d\n", now.Unix(), now.Nanosecond())
	} else {
		c.Printf("%d\n", now.Unix())
	}
	return 0
}

func (m *Machine) modprobe(c *hosttest.Call) int {
	if c.Has("-n") {
		return 0
	}
	if !c.Root {
		return c.Errorf("modprobe: ERROR: Operation not permitted")
	}
	for _, a := range c.Args[1:] {
		if strings.HasPrefix(a, "-") {
			continue
		}
		if err := os.MkdirAll(m.Path("/sys/module/"+a), 0o755); err != nil {
			return c.Errorf("modprobe: %v", err)
		}
	}
	return 0
}

func (m *Machine) sysctl(c *hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range c.Args[1:] {
		k, v, set := strings.Cut(a, "=")
		switch {
		case strings.HasPrefix(a, "-"):
		case set && !c.Root:
			return c.Errorf("sysctl: permission denied on key %q", k)
		case set:
			m.sysctls[k] = v
		default:
			c.Printf("%s = %s\n", k, m.live(k))
		}
	}
	return 0
}

func (m *Machine) live(key string) string {
	if v, ok := m.sysctls[key]; ok {
		return v
	}
	return "0"
}

// Sysctls returns what was set, sorted.
func (m *Machine) Sysctls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m.sysctls)) {
		out = append(out, k+"="+m.sysctls[k])
	}
	return out
}

func (m *Machine) nft(c *hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !c.Root:
		return c.Errorf("Operation not permitted (you must be root)")
	case c.Has("tables"):
		return 0
	case c.Has("list") && m.table == "":
		return c.Errorf("Error: No such file or directory")
	case c.Has("list"):
		c.Printf("%s", m.table)
	}
	return 0
}

// FlushRuleset empties the firewall, as `nft flush ruleset` does.
func (m *Machine) FlushRuleset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table = ""
}

// Table returns the firewall's table in the kernel.
func (m *Machine) Table() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table
}

func (m *Machine) startFirewall() error {
	text := m.ReadFile("/etc/ssg-bootstrap/firewall.nft")
	_, table, ok := strings.Cut(text, "\ndelete table inet ssg_bootstrap\n")
	if !ok || !m.Exists("/etc/systemd/system/ssg-bootstrap-firewall.service") {
		return fmt.Errorf("no rules to load")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table = table
	return nil
}

func (m *Machine) startZram() error {
	unit := m.ReadFile("/etc/systemd/system/ssg-bootstrap-zram.service")
	_, rest, ok := strings.Cut(unit, "ExecStart=/usr/local/lib/ssg-bootstrap/zram start ")
	if !ok || !m.Exists("/usr/local/lib/ssg-bootstrap/zram") {
		return fmt.Errorf("no program to run")
	}
	args, _, _ := strings.Cut(rest, "\n")
	m.WriteFile("/run/ssg-bootstrap/zram", "0 "+args+"\n", 0o644)
	m.WriteFile("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1966076 0 100\n", 0o644)
	return nil
}
