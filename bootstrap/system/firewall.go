package system

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// firewall closes the API server and the kubelet to the LAN, in a table of our
// own that says nothing about any other port: SSH cannot be lost by it.
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

// firewallRules lets the box and the cluster in. The cluster's own addresses are k3s's defaults. They are named besides the
// interfaces because a packet between pods and the host may keep them while it
// crosses another interface; from the LAN they lead nowhere, as the answers go
// to the pods.
func firewallRules() []string {
	return []string{
		`iifname { "lo", "cni0", "flannel.1", "tailscale0" } accept`,
		`ip saddr { 10.42.0.0/16, 10.43.0.0/16 } accept`,
		`reject with tcp reset`,
	}
}

func newFirewall() firewall {
	body := strings.Join(firewallRules(), "\n")
	digest := sha256.Sum256([]byte(body))
	f := firewall{tag: "ssg-bootstrap " + hex.EncodeToString(digest[:6]), rules: len(firewallRules())}
	f.files = []managed.File{
		{Path: firewallPath, Mode: 0o644, Content: []byte(f.ruleset())},
		{Path: "/etc/systemd/system/" + firewallUnit, Mode: 0o644, Content: []byte(firewallService)},
	}
	return f
}

// ruleset replaces the table in one transaction: nft -f takes all of it or
// nothing. The first line makes sure that there is something to delete.
func (f firewall) ruleset() string {
	var b strings.Builder
	b.WriteString(header + "table inet " + firewallTable + "\ndelete table inet " + firewallTable + "\ntable inet " + firewallTable + ` {
	chain input {
		type filter hook input priority filter - 10; policy accept;
		tcp dport { 6443, 10250 } jump guarded
	}
	chain guarded {
`)
	for _, rule := range firewallRules() {
		fmt.Fprintf(&b, "\t\t%s comment \"%s\"\n", rule, f.tag)
	}
	b.WriteString("\t}\n}\n")
	return b.String()
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
	live := strings.Count(s.table, `comment "`+f.tag+`"`) == f.rules && strings.Contains(s.table, "jump guarded")
	if !s.unit.Active || !live {
		out = append(out, step.Change{Verb: step.Start, Object: firewallUnit,
			Why: "closes ports 6443 and 10250 to the LAN, nothing else"})
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
