package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
	"github.com/omkar619-dev/ssg-bootstrap/runner"
)

func newCmdStatus(a *app) *cobra.Command {
	var o hostFlags
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say how the box and its cluster are",
		Long:    "Say how the box and its cluster are. Exits with status 1 when the node is not\nReady or k3s is not there.",
		Example: "  ssg-bootstrap status --host oldpc\n  ssg-bootstrap status --host oldpc -o json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return statusRun(cmd.Context(), a, o) },
	}
	o.add(a, cmd)
	return cmd
}

// StatusData is how a box is, as programs get it.
type StatusData struct {
	Host  string      `json:"host"`
	Facts facts.Facts `json:"facts"`
	K3s   k3s.Status  `json:"k3s"`
	// AgentOf is the cluster that the box is an agent of; nil for a server.
	AgentOf *Membership `json:"agentOf,omitempty"`
	// Tailnet is nil where there is no Tailscale.
	Tailnet *tailnet.Status `json:"tailnet,omitempty"`
	// Bench is what a run of bench has on the box; it is gone when that ends.
	Bench *bench.Leftover `json:"bench,omitempty"`
	// Backup says how old the newest one on this computer is.
	Backup string `json:"backup"`
	// Runner is nil where the configuration makes no runner of the box.
	Runner *runner.Status `json:"runner,omitempty"`
}

func statusRun(ctx context.Context, a *app, o hostFlags) error {
	s, err := a.open(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	d := StatusData{Host: s.name}
	_, end := a.task("status", "look at "+s.name)
	d.Facts, err = facts.Gather(ctx, s.client)
	switch {
	case err != nil:
	case d.Facts.K3s.Agent:
		d.K3s, err = k3s.LookAtAgent(ctx, host.ReadOnly(s.client))
	default:
		d.K3s, err = k3s.Look(ctx, host.ReadOnly(s.client))
	}
	if err == nil && d.K3s.Node != "" {
		d.Bench, err = s.benchLeft(ctx)
	}
	if err == nil {
		d.Tailnet, err = s.tailnetStatus(ctx)
	}
	end(err)
	if err != nil {
		return fmt.Errorf("look at %s: %w", s.name, err)
	}
	if d.Facts.K3s.Agent {
		d.AgentOf = s.membership(ctx, d.Facts.Cluster)
		a.answer(d, func(w io.Writer) { d.write(w, a.width(), a.env.Now()) })
		return d.verdict()
	}
	v, err := a.vault(s.name, s.cfg.Backup, false)
	if err != nil {
		return err
	}
	d.Backup = backupAge(v, a.env.Now(), s.cfg.Backup.Old()).said
	if d.Runner, err = s.runnerStatus(ctx); err != nil {
		return err
	}
	a.answer(d, func(w io.Writer) { d.write(w, a.width(), a.env.Now()) })
	return d.verdict()
}

func (d StatusData) verdict() error {
	again := "`ssg-bootstrap install --host " + d.Host + "` "
	if d.AgentOf != nil {
		return d.AgentOf.verdict(d)
	}
	switch {
	case !d.K3s.Installed:
		return fault.New(fault.NotInstalled, "", "k3s is not installed on %s", d.Host)
	case d.K3s.Unit != "active":
		return fault.New(fault.WaitStalled, again+"starts it and says what keeps it from running", "k3s on %s does not run, it is %s", d.Host, d.K3s.Unit)
	case d.K3s.Node == "":
		return fault.New(fault.WaitStalled, again+"follows it until it answers", "k3s on %s runs, its API does not answer", d.Host)
	case !d.K3s.Ready:
		return fault.New(fault.WaitStalled, again+"waits for it", "the node is not Ready: %s", d.K3s.NodeSays)
	}
	return nil
}
