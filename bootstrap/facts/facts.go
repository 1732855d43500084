// Package facts looks at a box once and says what it is and what it lacks.
//
// It keeps the promise that everything known about the box comes from one
// round trip, that a fact which could not be found out is named instead of
// guessed, and that each reason against a box comes with its remedy.
package facts

import "time"

// Facts is what one look at a box found.
type Facts struct {
	HostName     string       `json:"hostName"`
	BootID       string       `json:"bootID"`
	Arch         string       `json:"arch"`
	Kernel       string       `json:"kernel"`
	Distribution Distribution `json:"distribution"`
	CPU          CPU          `json:"cpu"`
	Memory       Memory       `json:"memory"`
	// Systemd is false where something else is the init.
	Systemd bool `json:"systemd"`
	// Controllers are the cgroup v2 controllers; none means cgroup v1.
	Controllers []string          `json:"controllers,omitempty"`
	Modules     map[string]Module `json:"modules"`
	// FileSystems holds those of / and of k3s's data, in this order.
	FileSystems []FileSystem `json:"fileSystems"`
	Clock       Clock        `json:"clock"`
	Network     Network      `json:"network"`
	Listeners   []Listener   `json:"listeners,omitempty"`
	Firewall    Firewall     `json:"firewall"`
	// MissingTools are the programs that the steps need and the box lacks.
	MissingTools []string `json:"missingTools,omitempty"`
	K3s          K3s      `json:"k3s"`
	// OtherKubernetes are units of other distributions that are installed.
	OtherKubernetes []string `json:"otherKubernetes,omitempty"`
	// Bench says whose run of bench is at work on the box, or broke off and left
	// its scratch namespace there.
	Bench string `json:"bench,omitempty"`
	// Cluster is what the box's own record says of the other boxes of its
	// cluster; it is empty for a box that is alone.
	Cluster Cluster `json:"cluster,omitzero"`
}

// BenchMark is the file on the box that Bench is read from. It lies on the disk,
// because a scratch namespace outlives a power cut.
const BenchMark = "/var/lib/ssg-bootstrap/bench"

// Distribution is the box's operating system as os-release names it.
type Distribution struct {
	ID      string   `json:"id"`
	Like    []string `json:"like,omitempty"`
	Version string   `json:"version,omitempty"`
	Name    string   `json:"name"`
}

// CPU is the processor. Level is the x86-64 microarchitecture level, 1 to 4,
// or 0 on another architecture.
type CPU struct {
	Model string `json:"model"`
	Cores int    `json:"cores"`
	Level int    `json:"level"`
	// Lacks are the flags that keep it from the next level.
	Lacks []string `json:"lacks,omitempty"`
}

// Memory is in bytes.
type Memory struct {
	Total     int64 `json:"total"`
	Available int64 `json:"available"`
	Swap      int64 `json:"swap"`
	Zram      int64 `json:"zram"`
}

// Module says how a kernel module can be had.
type Module string

// The states of a module.
const (
	ModuleLoaded    Module = "loaded"
	ModuleAvailable Module = "available"
	ModuleMissing   Module = "missing"
)

// FileSystem is the one that holds Path.
type FileSystem struct {
	Path     string `json:"path"`
	Mount    string `json:"mount"`
	Source   string `json:"source"`
	Type     string `json:"type"`
	Size     int64  `json:"size"`
	Free     int64  `json:"free"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// Rotational is true for spinning disks, and for virtual ones that say so.
	Rotational bool `json:"rotational,omitempty"`
}

// Clock compares the box's clock with this computer's. The true difference
// lies within Uncertainty of Skew.
type Clock struct {
	Skew        time.Duration `json:"skew"`
	Uncertainty time.Duration `json:"uncertainty"`
	// Synchronized says that a time service on the box has reached its source.
	Synchronized bool `json:"synchronized"`
	// Service is the time service that runs, or "".
	Service string `json:"service,omitempty"`
}

// Wrong reports whether the clock is certainly off by more than tolerance.
func (c Clock) Wrong(tolerance time.Duration) bool {
	return c.Skew.Abs()-c.Uncertainty > tolerance
}

// Network is how the box reaches others.
type Network struct {
	DefaultDevice string    `json:"defaultDevice,omitempty"`
	Gateway       string    `json:"gateway,omitempty"`
	Addresses     []Address `json:"addresses,omitempty"`
	Nameservers   []string  `json:"nameservers,omitempty"`
}

// Address is one global address, as in 192.168.1.20/24.
type Address struct {
	Device string `json:"device"`
	CIDR   string `json:"cidr"`
}

// LAN returns the addresses on the device of the default route, without their
// prefix lengths.
func (n Network) LAN() []string {
	var out []string
	for _, a := range n.Addresses {
		if a.Device == n.DefaultDevice && a.Device != "" {
			out = append(out, a.IP())
		}
	}
	return out
}

// Listener is a process that listens on one of the ports that k3s needs.
type Listener struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Process string `json:"process,omitempty"`
	PID     int    `json:"pid,omitempty"`
	// Unit is the systemd unit that the process belongs to, if any.
	Unit string `json:"unit,omitempty"`
}

// Firewall is what filters packets on the box.
type Firewall struct {
	UFW       bool `json:"ufw,omitempty"`
	Firewalld bool `json:"firewalld,omitempty"`
}

// K3s is what is there of k3s before we look closer.
type K3s struct {
	Binary bool `json:"binary,omitempty"`
	Unit   bool `json:"unit,omitempty"`
	Config bool `json:"config,omitempty"`
	Active bool `json:"active,omitempty"`
	// Agent says that k3s runs here as an agent, or did; AgentActive that it does.
	Agent       bool `json:"agent,omitempty"`
	AgentActive bool `json:"agentActive,omitempty"`
	// Datastore says that a cluster's state is there, running or not.
	Datastore bool `json:"datastore,omitempty"`
	// Identity says that the box has the password that a cluster knows it by.
	Identity bool `json:"identity,omitempty"`
}
