package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
	"github.com/omkar619-dev/ssg-bootstrap/runner"
)

type uninstallOptions struct {
	hostFlags
	confirm string
	// leave keeps the runner's record at GitHub, leaveNode the agent's node in
	// its cluster.
	leave, leaveNode bool
}

func newCmdUninstall(a *app) *cobra.Command {
	var o uninstallOptions
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove k3s and all of its data from the box",
		Long: `Remove k3s and all of its data from the box, after you typed the host's name. It
says first what data goes. A runner is unregistered at GitHub before; where
GitHub cannot be reached, nothing is removed without --leave-at-github. A box
that install joined to a tailnet leaves it. The settings of the operating system
(zram, kernel parameters, the journal's limit, the firewall table that closes
the API's port) stay; they do no harm. An agent is drained and deleted in its
server's cluster first, which closes its firewall to the box again.`,
		Example: "  ssg-bootstrap uninstall --host oldpc\n  ssg-bootstrap uninstall --host oldpc --confirm oldpc",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return uninstallRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	cmd.Flags().BoolVar(&o.leave, "leave-at-github", false, "do not ask GitHub to forget the runner; it then shows it as offline for 14 days")
	cmd.Flags().BoolVar(&o.leaveNode, "leave-node", false, "do not ask an agent's server to forget it; its node then stays there, not Ready")
	cmd.Flags().StringVar(&o.confirm, "confirm", "", "the host's `name`, typed beforehand; the data is lost")
	return cmd
}

// UninstallData is what was removed, as programs get it.
type UninstallData struct {
	Host    string     `json:"host"`
	Removed []k3s.Data `json:"removed,omitempty"`
	// Runner is the one that was unregistered, if there was any.
	Runner string `json:"runner,omitempty"`
	// Node is the one that was deleted in the server's cluster, for an agent.
	Node string `json:"node,omitempty"`
	// Tailnet says that the box left its tailnet.
	Tailnet bool `json:"tailnet,omitempty"`
}

func uninstallRun(ctx context.Context, a *app, o uninstallOptions) error {
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if o.confirm != "" && o.confirm != s.name {
		return notConfirmed(o.confirm, s.name)
	}
	release, err := s.client.Lock(ctx, a.holder())
	if err != nil {
		return err
	}
	defer release()
	lost, err := s.atRisk(ctx)
	if err != nil {
		return err
	}
	joined, err := tailnet.Installed(ctx, s.client)
	if err != nil {
		return err
	}
	if s.facts.K3s.Agent {
		return s.uninstallAgent(ctx, o, lost)
	}
	there := len(lost) > 0 || s.facts.K3s.Unit
	if !there && !joined {
		return fault.New(fault.NotInstalled, "nothing is to be removed", "there is no k3s on %s", s.name)
	}
	if there {
		a.tell(warning(s.name, lost))
	}
	for _, p := range s.facts.Cluster.Agents {
		a.tell(p.Name + " is an agent of this cluster and has none afterwards.")
	}
	if joined {
		a.tell("It takes " + s.name + " out of its tailnet and removes Tailscale. Over the tailnet the box is not reached any more.")
	}
	if err := o.confirmed(ctx, newPrompter(a), s.name); err != nil {
		return err
	}
	// The runner first: once it is gone, no job deploys to what is going.
	name, err := s.dismiss(ctx, o.leave)
	if err != nil {
		return err
	}
	if there {
		note, end := a.task("uninstall", "remove k3s")
		err = k3s.Uninstall(ctx, s.client, note)
		end(err)
		if err != nil {
			return err
		}
	}
	// Last: the connection itself may go over the tailnet.
	if joined {
		if err := s.leaveTailnet(ctx); err != nil {
			return err
		}
	}
	a.answer(UninstallData{Host: s.name, Removed: lost, Runner: name, Tailnet: joined}, func(w io.Writer) {
		fmt.Fprintf(w, "k3s and its data are gone from %s. `ssg-bootstrap install --host %s` makes a new cluster.\n", s.name, s.name)
	})
	return nil
}

// dismiss removes the runner, where the configuration has one, and returns its
// name.
func (s *session) dismiss(ctx context.Context, leave bool) (string, error) {
	in, err := s.runner()
	if err != nil || in == nil {
		return "", err
	}
	note, end := s.a.task("runner", "remove the runner "+in.Want.Name)
	gone, err := runner.Remove(ctx, s.client, *in, runner.Removal{Leave: leave, Note: note})
	end(err)
	if err != nil || !gone.Here && !gone.There {
		return "", err
	}
	return in.Want.Name, nil
}

func (s *session) atRisk(ctx context.Context) ([]k3s.Data, error) {
	_, end := s.a.task("data", "see what data there is")
	var err error
	var lost []k3s.Data
	if s.facts, err = facts.Gather(ctx, s.client); err == nil {
		lost, err = k3s.DataAtRisk(ctx, s.client)
	}
	end(err)
	return lost, err
}

func (o uninstallOptions) confirmed(ctx context.Context, p *prompter, name string) error {
	typed := o.confirm
	if typed == "" {
		var err error
		typed, err = p.Ask(ctx, "Type the host's name to remove all of this", "", "add --confirm "+name+"; the data is lost")
		if err != nil {
			return err
		}
	}
	if typed != name {
		return notConfirmed(typed, name)
	}
	return nil
}

func notConfirmed(typed, name string) error {
	return fault.New(fault.Usage, "type the name "+name+", or keep the cluster", "%q is not the host's name; nothing was removed", typed)
}

func warning(host string, lost []k3s.Data) string {
	text := "This removes k3s from " + host + " with its certificates, its token and every image."
	if len(lost) == 0 {
		return text + " There is no data."
	}
	text += " This data is lost:"
	for _, d := range lost {
		text += fmt.Sprintf("\n  %s, %s (%s)", report.Clean(d.What), report.Bytes(d.Bytes), report.Clean(d.Path))
	}
	return text
}
