package cli

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
	"github.com/omkar619-dev/ssg-bootstrap/runner"
)

// Whoever completes has not run anything yet: what cannot be read completes
// nothing, and no box is asked.

func complete(cmd *cobra.Command, flag string, values func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag was added two lines above
	}
}

// completeNoFiles keeps the names of files away from commands whose words are
// none.
func completeNoFiles(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range cmd.Commands() {
		completeNoFiles(sub)
	}
}

// hostNames are the configured hosts.
func (a *app) hostNames() []string {
	cfg, err := a.loadConfig()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(cfg.Hosts))
}

// reachable are the hosts that --host may name: the configured ones, then ssh's.
func (a *app) reachable() []string {
	out := a.hostNames()
	for _, name := range host.Aliases(a.env.Home) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// contexts are those of the user's kubeconfig.
func (a *app) contexts() []string { return cluster.Contexts(a.kubeconfigFiles()) }

// backupIDs completes the ID of one of a host's backups, the newest first.
func (a *app) backupIDs(flag *string, others ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		out := slices.Clone(others)
		if _, v, _, err := a.kept(*flag, false); err == nil && len(args) == 0 {
			entries, _ := v.Entries()
			for _, e := range slices.Backward(entries) {
				out = append(out, e.ID)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// stepNames are the steps of an ordinary box and those of an agent; which there
// are of a certain one depends on its profile and its kernel.
func stepNames() []string {
	p, err := profiles.Load(profiles.Names()[0])
	if err != nil {
		return nil
	}
	s := spec.Spec{Profile: p, Tailnet: &spec.Tailnet{}}
	all := Steps(s, facts.Facts{}, nil, application{}, &runner.Input{})
	all = append(all, agentSteps(nil, joined{in: k3s.Input{Spec: s}}, k3s.AgentInput{Spec: s}, true)...)
	var out []string
	for _, one := range all {
		if id := string(one.ID()); !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
