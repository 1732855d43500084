package facts

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// parse reads gather.sh's output. It takes nothing for granted: an unknown
// key, a line that does not fit or an output cut short is an error, and all
// facts that are missing are named together.
func parse(out []byte) (Facts, clockReading, error) {
	p := &parser{f: Facts{Modules: map[string]Module{}}, seen: map[string]bool{}}
	lines := bytes.Split(bytes.TrimSuffix(out, []byte("\n")), []byte("\n"))
	if len(lines) < 2 || string(lines[0]) != "facts 1" || string(lines[len(lines)-1]) != "end" {
		return Facts{}, clockReading{}, fmt.Errorf("the box's answer is not whole (%d lines)", len(lines))
	}
	for i, line := range lines[1 : len(lines)-1] {
		key, value, ok := strings.Cut(string(line), "=")
		if !ok || strings.ContainsFunc(value, unicode.IsControl) {
			return Facts{}, clockReading{}, fmt.Errorf("line %d is not key=value: %.60q", i+2, line)
		}
		if err := p.line(key, strings.TrimSpace(value)); err != nil {
			return Facts{}, clockReading{}, fmt.Errorf("line %d: %s: %w", i+2, key, err)
		}
	}
	if missing := p.missing(); len(missing) > 0 {
		return Facts{}, clockReading{}, fmt.Errorf("the box did not say: %s", strings.Join(missing, ", "))
	}
	return p.f, p.clock, nil
}

type parser struct {
	f     Facts
	clock clockReading
	seen  map[string]bool
}

func (p *parser) missing() []string {
	var out []string
	for _, key := range []string{"arch", "clock", "cpu.cores", "disk", "hostname", "kernel", "mem.total", "module", "os.id", "up.first", "up.last"} {
		if !p.seen[key] {
			out = append(out, key)
		}
	}
	return out
}

func (p *parser) line(key, v string) error {
	repeated := slices.Contains([]string{"module", "disk", "unit", "dns", "route", "addr", "listen", "tool.missing", "k3s", "cluster", "mem.zram"}, key)
	if p.seen[key] && !repeated {
		return fmt.Errorf("said twice")
	}
	p.seen[key] = true
	switch section, rest, _ := strings.Cut(key, "."); section {
	case "os":
		return p.distribution(rest, v)
	case "cpu":
		return p.cpu(rest, v)
	case "mem":
		return p.memory(rest, v)
	case "clock", "time", "up":
		return p.time(key, v)
	}
	return p.other(key, v)
}

func (p *parser) other(key, v string) error {
	f := &p.f
	switch key {
	case "hostname":
		f.HostName = v
	case "kernel":
		f.Kernel = v
	case "arch":
		f.Arch = v
	case "boot":
		f.BootID = v
	case "systemd":
		f.Systemd = v == "yes"
	case "cgroup":
		f.Controllers = strings.Fields(v)
	case "bench":
		f.Bench = v
	case "ufw":
		f.Firewall.UFW = v == "yes"
	case "dns":
		f.Network.Nameservers = append(f.Network.Nameservers, v)
	case "tool.missing":
		f.MissingTools = append(f.MissingTools, v)
	case "module":
		return p.module(v)
	case "disk":
		return p.fileSystem(v)
	case "unit":
		return p.unit(v)
	case "route":
		p.route(v)
	case "addr":
		return p.address(v)
	case "listen":
		return p.listener(v)
	case "k3s":
		return p.k3s(v)
	case "cluster":
		return f.Cluster.add(v)
	default:
		return fmt.Errorf("not a fact we know")
	}
	return nil
}

func (p *parser) distribution(key, v string) error {
	d := &p.f.Distribution
	switch key {
	case "id":
		d.ID = v
	case "like":
		d.Like = strings.Fields(v)
	case "version":
		d.Version = v
	case "name":
		d.Name = v
	default:
		return fmt.Errorf("not a fact we know")
	}
	return nil
}

func (p *parser) cpu(key, v string) (err error) {
	c := &p.f.CPU
	switch key {
	case "cores":
		c.Cores, err = strconv.Atoi(v)
	case "model":
		c.Model = v
	case "flags":
		flags := strings.Fields(v)
		// The flag of 64-bit x86; without it levels mean nothing.
		if slices.Contains(flags, "lm") {
			c.Level, c.Lacks = level(flags)
		}
	default:
		return fmt.Errorf("not a fact we know")
	}
	return err
}

func (p *parser) memory(key, v string) error {
	n, err := strconv.ParseInt(v, 10, 54)
	if err != nil || n < 0 {
		return fmt.Errorf("not a number of KiB: %q", v)
	}
	m := &p.f.Memory
	switch key {
	case "total":
		m.Total = n << 10
	case "available":
		m.Available = n << 10
	case "swap":
		m.Swap = n << 10
	case "zram":
		m.Zram += n << 10
	default:
		return fmt.Errorf("not a fact we know")
	}
	return nil
}

func (p *parser) time(key, v string) (err error) {
	switch key {
	case "clock":
		p.clock.first, err = unixTime(v)
	case "up.first":
		p.clock.up, err = uptime(v)
	case "up.last":
		var last time.Duration
		last, err = uptime(v)
		p.clock.last = p.clock.first.Add(last - p.clock.up)
	case "time.synchronized":
		p.f.Clock.Synchronized = v == "yes"
	default:
		err = fmt.Errorf("not a fact we know")
	}
	return err
}

// uptime reads seconds as /proc/uptime has them, with two decimals.
func uptime(v string) (time.Duration, error) {
	seconds, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return 0, fmt.Errorf("read uptime: %w", err)
	}
	if within := seconds >= 0 && seconds < math.MaxInt32; !within {
		return 0, fmt.Errorf("read uptime: %q is none", v)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

func unixTime(v string) (time.Time, error) {
	whole, part, _ := strings.Cut(v, ".")
	s, err := strconv.ParseInt(whole, 10, 40)
	if err != nil {
		return time.Time{}, fmt.Errorf("read seconds: %w", err)
	}
	// A date without %N prints the letter; seconds are then all we know.
	ns, err := strconv.ParseInt(part, 10, 64)
	if err != nil || len(part) != 9 {
		ns = 0
	}
	return time.Unix(s, ns), nil
}

func (p *parser) module(v string) error {
	name, state, _ := strings.Cut(v, " ")
	switch m := Module(state); m {
	case ModuleLoaded, ModuleAvailable, ModuleMissing:
		p.f.Modules[name] = m
		return nil
	}
	return fmt.Errorf("no such state: %q", state)
}

func (p *parser) fileSystem(v string) error {
	w := strings.SplitN(v, " ", 8)
	if len(w) != 8 {
		return fmt.Errorf("has %d words", len(w))
	}
	size, err := strconv.ParseInt(w[5], 10, 64)
	if err != nil {
		return fmt.Errorf("read size: %w", err)
	}
	free, err := strconv.ParseInt(w[6], 10, 64)
	if err != nil {
		return fmt.Errorf("read free space: %w", err)
	}
	p.f.FileSystems = append(p.f.FileSystems, FileSystem{
		Path: w[0], ReadOnly: w[1] == "ro", Rotational: w[2] == "1",
		Source: w[3], Type: w[4], Size: size, Free: free, Mount: w[7],
	})
	return nil
}

// unit takes what systemd says about the units that matter to us.
func (p *parser) unit(v string) error {
	w := strings.Fields(v)
	if len(w) != 3 {
		return fmt.Errorf("has %d words", len(w))
	}
	name, active := strings.TrimSuffix(w[0], ".service"), w[2] == "active"
	switch name {
	case "systemd-timesyncd", "chrony", "chronyd", "ntp", "ntpsec", "openntpd":
		if active {
			p.f.Clock.Service = name
		}
	case "k3s":
		p.f.K3s.Active = active || w[2] == "activating"
	case "k3s-agent":
		p.f.K3s.AgentActive = active || w[2] == "activating"
	case "ufw":
		// The unit is active on every Ubuntu; ufw.conf says if it filters.
	case "firewalld":
		p.f.Firewall.Firewalld = active
	default:
		p.f.OtherKubernetes = append(p.f.OtherKubernetes, name)
	}
	return nil
}

// route reads "default via 192.168.1.1 dev eth0 …"; the first one wins, as it
// does in the kernel when ip lists it first.
func (p *parser) route(v string) {
	n := &p.f.Network
	if n.DefaultDevice != "" {
		return
	}
	w := strings.Fields(v)
	for i := 0; i+1 < len(w); i++ {
		switch w[i] {
		case "via":
			n.Gateway = w[i+1]
		case "dev":
			n.DefaultDevice = w[i+1]
		}
	}
}

func (p *parser) address(v string) error {
	device, cidr, ok := strings.Cut(v, " ")
	if !ok {
		return fmt.Errorf("not a device and an address: %q", v)
	}
	p.f.Network.Addresses = append(p.f.Network.Addresses, Address{Device: device, CIDR: cidr})
	return nil
}

// listener reads the local address, ss's list of users and the first line of
// the process's cgroup file.
func (p *parser) listener(v string) error {
	w := strings.Split(v, "|")
	if len(w) != 3 {
		return fmt.Errorf("has %d parts", len(w))
	}
	colon := strings.LastIndexByte(w[0], ':')
	port, err := strconv.Atoi(w[0][colon+1:])
	if err != nil {
		return fmt.Errorf("read port: %w", err)
	}
	l := Listener{Address: w[0][:max(colon, 0)], Port: port}
	if _, rest, ok := strings.Cut(w[1], `(("`); ok {
		l.Process, rest, _ = strings.Cut(rest, `"`)
		if _, rest, ok = strings.Cut(rest, "pid="); ok {
			digits, _, _ := strings.Cut(rest, ",")
			if l.PID, err = strconv.Atoi(digits); err != nil {
				return fmt.Errorf("read pid: %w", err)
			}
		}
	}
	for part := range strings.SplitSeq(w[2], "/") {
		if strings.HasSuffix(part, ".service") {
			l.Unit = part
		}
	}
	p.f.Listeners = append(p.f.Listeners, l)
	return nil
}

func (p *parser) k3s(v string) error {
	switch v {
	case "binary":
		p.f.K3s.Binary = true
	case "unit":
		p.f.K3s.Unit = true
	case "agent":
		p.f.K3s.Agent = true
	case "datastore":
		p.f.K3s.Datastore = true
	case "identity":
		p.f.K3s.Identity = true
	case "config":
		p.f.K3s.Config = true
	default:
		return fmt.Errorf("not a part we know: %q", v)
	}
	return nil
}
