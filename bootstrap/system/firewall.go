package system

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// firewall closes the API server, the kubelet and the pods' overlay to the LAN,
// but for the boxes of the cluster, in a table of our own that says nothing
// about any other port: SSH cannot be lost by it.
type firewall struct {
	files []managed.File
	// tag is in the comment of each rule, so that the table in the kernel can
	// be told from an older one without comparing nft's way of printing.
	tag   string
	rules int
}

const (
	firewallUnit  = "ssg-bootstrap-firewall.service"
	firewallPath  = "/etc/ssg-bootstrap/firewall.nft"
	firewallTable = "ssg_bootstrap"
)

// guardedRules let the box and the cluster in. The cluster's own addresses are
// k3s's defaults. They are named besides the interfaces because a packet between
// pods and the host may keep them while it crosses another interface; from the
// LAN they lead nowhere, as the answers go to the pods.
func guardedRules(c facts.Cluster) []string {
	rules := []string{
		`iifname { "lo", "cni0", "flannel.1", "tailscale0" } accept`,
		`ip saddr { 10.42.0.0/16, 10.43.0.0/16 } accept`,
	}
	if c.Server.Name != "" {
		// The other agents have no business with this one's kubelet.
		rules = append(rules, fmt.Sprintf("ip saddr %s tcp dport 10250 accept", c.Server.Address))
	} else {
		for _, a := range c.Agents {
			rules = append(rules, fmt.Sprintf("ip saddr %s accept", a.Address))
		}
	}
	return append(rules, `reject with tcp reset`)
}

// overlayRules let the other boxes' packets between pods in. Whoever may send
// them may speak as any pod, so nobody else may.
func overlayRules(c facts.Cluster) []string {
	var rules []string
	for _, p := range c.Peers() {
		rules = append(rules, fmt.Sprintf("ip saddr %s accept", p.Address))
	}
	return append(rules, "drop")
}

func newFirewall(c facts.Cluster) firewall {
	guarded, overlay := guardedRules(c), overlayRules(c)
	body := strings.Join(guarded, "\n") + "\n\n" + strings.Join(overlay, "\n")
	digest := sha256.Sum256([]byte(body))
	f := firewall{tag: "ssg-bootstrap " + hex.EncodeToString(digest[:6]), rules: len(guarded) + len(overlay)}
	f.files = []managed.File{
		{Path: firewallPath, Mode: 0o644, Content: []byte(f.ruleset(guarded, overlay))},
		{Path: "/etc/systemd/system/" + firewallUnit, Mode: 0o644, Content: []byte(firewallService)},
	}
	return f
}

// ruleset replaces the table in one transaction: nft -f takes all of it or
// nothing. The first line makes sure that there is something to delete.
func (f firewall) ruleset(guarded, overlay []string) string {
	var b strings.Builder
	b.WriteString(header + "table inet " + firewallTable + "\ndelete table inet " + firewallTable + "\ntable inet " + firewallTable + ` {
	chain input {
		type filter hook input priority filter - 10; policy accept;
		tcp dport { 6443, 10250 } jump guarded
		udp dport 8472 jump overlay
	}
`)
	f.chain(&b, "guarded", guarded)
	f.chain(&b, "overlay", overlay)
	b.WriteString("}\n")
	return b.String()
}

func (f firewall) chain(b *strings.Builder, name string, rules []string) {
	b.WriteString("\tchain " + name + " {\n")
	for _, rule := range rules {
		fmt.Fprintf(b, "\t\t%s comment \"%s\"\n", rule, f.tag)
	}
	b.WriteString("\t}\n")
}

// The table is there before the network is, and comes back when the owner's
// nftables.service flushes all tables.
const firewallService = header + `[Unit]
Description=Closes the Kubernetes API to the local network
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=local-fs.target nftables.service
PartOf=nftables.service
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f ` + firewallPath + `
ExecReload=/usr/sbin/nft -f ` + firewallPath + `
ExecStop=-/usr/sbin/nft delete table inet ` + firewallTable + `

[Install]
WantedBy=multi-user.target
`

type firewallState struct {
	files managed.State
	unit  managed.Unit
	table string
}

func (f firewall) ID() step.ID      { return FirewallID }
func (f firewall) Title() string    { return "Firewall" }
func (f firewall) Needs() []step.ID { return nil }
func (f firewall) Lane() step.Lane  { return step.LaneBox }

func (f firewall) Observe(ctx context.Context, r host.Reader) (firewallState, error) {
	o, err := managed.Observe(ctx, r, managed.Look{
		Files: f.files, Units: []string{firewallUnit}, Script: "nft list table inet " + firewallTable + " 2>/dev/null",
	})
	if err != nil {
		return firewallState{}, err
	}
	return firewallState{o.Files, o.Units[firewallUnit], string(o.Out)}, nil
}

func (f firewall) Diff(s firewallState) ([]step.Change, error) {
	out := managed.Diff(f.files, s.files)
	out = append(out, managed.DiffUnit(firewallUnit, s.unit, managed.Named(out, f.files[1].Path))...)
	live := strings.Count(s.table, `comment "`+f.tag+`"`) == f.rules && strings.Contains(s.table, "jump guarded") && strings.Contains(s.table, "jump overlay")
	if !s.unit.Active || !live {
		out = append(out, step.Change{Verb: step.Start, Object: firewallUnit,
			Why: "closes ports 6443, 10250 and 8472 to the LAN, nothing else"})
	}
	return out, nil
}

func (f firewall) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if err := managed.Apply(ctx, r.Host, f.files, changes); err != nil {
		return err
	}
	if err := managed.ApplyUnit(ctx, r.Host, firewallUnit, changes); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Object != firewallUnit || c.Verb != step.Start {
			continue
		}
		if err := run(ctx, r.Host, "systemctl", "reload-or-restart", firewallUnit); err != nil {
			return fmt.Errorf("load the firewall: %w", err)
		}
	}
	return nil
}
