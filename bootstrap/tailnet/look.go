package tailnet

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
)

// Status is how the box stands in its tailnet.
type Status struct {
	Installed bool `json:"installed"`
	// Unit is systemd's word for tailscaled, State tailscaled's own.
	Unit    string `json:"unit,omitempty"`
	State   string `json:"state,omitempty"`
	Says    string `json:"says,omitempty"`
	Version string `json:"version,omitempty"`
	// Name is the full one in DNS.
	Name      string   `json:"name,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	// MagicDNS says that nodes find each other by name.
	MagicDNS bool `json:"magicDNS,omitempty"`
	// KeyExpiry is when the node must log in anew; a node with tags need not.
	KeyExpiry *time.Time `json:"keyExpiry,omitempty"`
	// Relay is the DERP region that the node is reached through where there is
	// no direct way; Direct and Relayed are the other nodes by the way there.
	Relay   string   `json:"relay,omitempty"`
	Direct  int      `json:"direct"`
	Relayed int      `json:"relayed"`
	Health  []string `json:"health,omitempty"`
	// Memory is what tailscaled takes, in bytes.
	Memory int64 `json:"memory,omitempty"`
}

// Running reports whether the box is in the tailnet.
func (s Status) Running() bool { return s.State == stateRunning }

const memoryScript = `f=/sys/fs/cgroup/system.slice/` + unitName + `/memory.current
[ -r "$f" ] && read -r n <"$f" && echo "memory=$n"
`

// Look returns the status, in one round trip.
func Look(ctx context.Context, r host.Reader) (Status, error) {
	all := host.Command{Argv: []string{"sh", "-c", statusScript("--peers"), "sh"}, Root: true}
	o, err := managed.Observe(ctx, r, managed.Look{Units: []string{unitName}, Script: memoryScript, Beside: []host.Command{all}})
	if err != nil {
		return Status{}, fmt.Errorf("look at the tailnet: %w", err)
	}
	s, err := parseSeen(o.Beside[0])
	if err != nil {
		return Status{}, fmt.Errorf("look at the tailnet: %w", err)
	}
	u := o.Units[unitName]
	out := s.status()
	out.Installed, out.Unit = u.Loaded, u.State
	if n, err := strconv.ParseInt(managed.Pairs(o.Out)["memory"], 10, 64); err == nil {
		out.Memory = n
	}
	return out, nil
}

func (s seen) status() Status {
	d := s.daemon
	if d == nil {
		return Status{Says: s.says}
	}
	version, _, _ := strings.Cut(d.Version, "-")
	out := Status{State: d.BackendState, Version: version, Name: d.fullName(), Addresses: d.addresses()}
	for _, h := range d.Health {
		out.Health = append(out.Health, clean(h))
	}
	if d.Self != nil {
		out.Tags, out.KeyExpiry, out.Relay = d.Self.Tags, d.Self.KeyExpiry, d.Self.Relay
	}
	if d.CurrentTailnet != nil {
		out.MagicDNS = d.CurrentTailnet.MagicDNSEnabled
	}
	for _, p := range d.Peer {
		switch {
		case p == nil || !p.Active:
		case p.CurAddr != "":
			out.Direct++
		case p.Relay != "":
			out.Relayed++
		}
	}
	return out
}

// expiresSoon is how long before its key expires a node is worth a warning.
const expiresSoon = 14 * 24 * time.Hour

// Check judges what Look found by what the box should be called.
func Check(s Status, name string, tags []string, now time.Time) []facts.Finding {
	one := func(g facts.Grade, text, remedy string) []facts.Finding {
		return []facts.Finding{{Check: "tailnet", Grade: g, Text: text, Remedy: remedy}}
	}
	const again = "run `ssg-bootstrap install` again"
	switch {
	case !s.Installed:
		return one(facts.Note, "tailscale is not installed yet", "")
	case s.State == "":
		return one(facts.Warn, strings.TrimSpace("tailscaled does not answer (it is "+s.Unit+") "+s.Says), again)
	case !s.Running():
		return one(facts.Warn, "the box is not in the tailnet: tailscaled is "+s.State+" "+strings.Join(s.Health, "; "), again)
	}
	out := one(facts.OK, s.Summary(now), "")
	label, _, _ := strings.Cut(s.Name, ".")
	if label != name {
		out = append(out, one(facts.Warn, otherName(name, label), "remove the other device in the admin console, and rename this one there")...)
	}
	if missing := slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return slices.Contains(s.Tags, t) }); len(missing) > 0 {
		out = append(out, one(facts.Warn, "it lacks the tags "+list(missing), again)...)
	}
	if s.KeyExpiry != nil && s.KeyExpiry.Sub(now) < expiresSoon {
		out = append(out, one(facts.Warn, "its key expires on "+s.KeyExpiry.UTC().Format("2006-01-02"), "switch its key expiry off in the admin console under Machines")...)
	}
	for _, h := range s.Health {
		out = append(out, one(facts.Warn, h, "read `journalctl -u tailscaled` on the box")...)
	}
	return out
}

// Summary says in a line how the node is.
func (s Status) Summary(now time.Time) string {
	text := s.Name + ", " + strings.Join(s.Addresses, " ") + ", tags " + list(s.Tags)
	switch {
	case s.KeyExpiry == nil:
		text += ", its key does not expire"
	case s.KeyExpiry.Before(now):
		text += ", its key has expired"
	default:
		text += ", its key expires on " + s.KeyExpiry.UTC().Format("2006-01-02")
	}
	return text
}

// Paths says how other nodes reach this one.
func (s Status) Paths() string {
	relay := "no relay (DERP)"
	if s.Relay != "" {
		relay = "relay (DERP) " + s.Relay
	}
	if s.Direct+s.Relayed == 0 {
		return relay + ", no traffic with other nodes now"
	}
	return fmt.Sprintf("%s; of the nodes with traffic now %d directly, %d through it", relay, s.Direct, s.Relayed)
}
