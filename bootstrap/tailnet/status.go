package tailnet

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
)

// The states of tailscaled's engine, as it calls them.
const (
	stateNone         = "NoState"
	stateOtherUser    = "InUseOtherUser"
	stateNeedsLogin   = "NeedsLogin"
	stateNeedsConsent = "NeedsMachineAuth"
	stateStopped      = "Stopped"
	stateStarting     = "Starting"
	stateRunning      = "Running"
)

// daemon is what tailscaled says of itself, the part of `tailscale status
// --json` that something follows from.
type daemon struct {
	Version        string
	BackendState   string
	HaveNodeKey    bool
	TailscaleIPs   []netip.Addr
	Self           *peer
	Health         []string
	CurrentTailnet *struct {
		Name            string
		MagicDNSSuffix  string
		MagicDNSEnabled bool
	}
	Peer map[string]*peer
}

type peer struct {
	ID           string
	HostName     string
	DNSName      string
	TailscaleIPs []netip.Addr
	Tags         []string
	CurAddr      string
	Relay        string
	Online       bool
	Active       bool
	KeyExpiry    *time.Time
}

// seen is what is there of a node.
type seen struct {
	// daemon is nil where tailscaled does not answer; says is then what was
	// said instead.
	daemon *daemon
	says   string
	// kept says that there is a state file: what starts with it may be a node
	// already.
	kept bool
	// settings are the flags of the last successful `tailscale up`.
	settings string
	// leftovers are files of keys that an attempt which was cut off left.
	leftovers []string
}

const jsonBegins = "status"

// statusScript asks everything about the node at once. tailscaled may hang;
// the plan of everything else does not wait for it for long. One that never
// was in a tailnet has a state file too, without a profile in it.
func statusScript(peers string) string {
	return `grep -qs profile- ` + StateFile + ` && echo "kept=yes"
[ -r ` + settingsPath + ` ] && read -r line <` + settingsPath + ` && echo "settings=$line"
for f in ` + keyPrefix + `*; do
	[ -e "$f" ] && echo "leftover=$f"
done
if [ -e ` + socketPath + ` ] && [ -x ` + clientPath + ` ]; then
	echo ` + jsonBegins + `
	timeout 20 ` + clientPath + ` status --json ` + peers + ` 2>&1
fi
:
`
}

// statusQuery is the same for everybody who asks, so that a plan asks it once.
func statusQuery() host.Command {
	return host.Command{Argv: []string{"sh", "-c", statusScript("--peers=false"), "sh"}, Root: true}
}

// parseSeen reads statusScript's output.
func parseSeen(out []byte) (seen, error) {
	head, body, answered := strings.Cut(string(out), "\n"+jsonBegins+"\n")
	if rest, first := strings.CutPrefix(string(out), jsonBegins+"\n"); !answered && first {
		head, body, answered = "", rest, true
	}
	m := managed.Pairs([]byte(head))
	s := seen{kept: m["kept"] == "yes", settings: m["settings"]}
	for line := range strings.Lines(head) {
		if f, ok := strings.CutPrefix(strings.TrimSpace(line), "leftover="); ok {
			s.leftovers = append(s.leftovers, f)
		}
	}
	if !answered {
		return s, nil
	}
	// Warnings may come before the object; what comes instead of it is a reason.
	begin := strings.Index(body, "{")
	if begin < 0 {
		s.says = clean(body)
		return s, nil
	}
	d := &daemon{}
	if err := json.Unmarshal([]byte(body[begin:]), d); err != nil {
		return seen{}, fmt.Errorf("read tailscaled's status: %w", err)
	}
	known := []string{stateNone, stateOtherUser, stateNeedsLogin, stateNeedsConsent, stateStopped, stateStarting, stateRunning}
	if !slices.Contains(known, d.BackendState) {
		return seen{}, fmt.Errorf("read tailscaled's status: it is in a state called %.40q", d.BackendState)
	}
	s.daemon = d
	return s, nil
}

// clean takes keys out of what Tailscale says, which may quote them, and makes
// it one line.
func clean(text string) string {
	const most = 300
	text = regexp.MustCompile(`tskey-[A-Za-z0-9_-]+`).ReplaceAllString(text, "[secret]")
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

func (d *daemon) running() bool { return d != nil && d.BackendState == stateRunning && d.Self != nil }

// name is what the tailnet calls the node, without the tailnet's own name.
func (d *daemon) name() string {
	if d == nil || d.Self == nil {
		return ""
	}
	label, _, _ := strings.Cut(d.Self.DNSName, ".")
	return label
}

// fullName is the node's name in DNS.
func (d *daemon) fullName() string {
	if d == nil || d.Self == nil {
		return ""
	}
	return strings.TrimSuffix(d.Self.DNSName, ".")
}

func (d *daemon) addresses() []string {
	var out []string
	if d.Self != nil {
		for _, a := range d.Self.TailscaleIPs {
			out = append(out, a.String())
		}
	}
	return out
}

// loggedOut finds the warning of a node that runs on what it remembers while
// the control server does not know it any more.
func (d *daemon) loggedOut() string {
	for _, h := range d.Health {
		if strings.Contains(h, "You are logged out") {
			return clean(h)
		}
	}
	return ""
}
