package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
)

func newCmdBenchShow(a *app) *cobra.Command {
	var o benchOutput
	cmd := &cobra.Command{
		Use:   "show RESULT",
		Short: "Show a result that was kept, as a table, as Markdown or as a page",
		Long: `Show a result that was kept, without measuring again: a file that bench -o json
wrote, a kept one, or a host, which stands for its newest result. The page's
history is that of the host's earlier results here.`,
		Example: "  ssg-bootstrap bench show oldpc --html bench.html\n  ssg-bootstrap bench show before.json --markdown",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return benchShowRun(a, args[0], o) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.hostNames(), cobra.ShellCompDirectiveDefault
		},
	}
	o.add(cmd)
	return cmd
}

func benchShowRun(a *app, name string, o benchOutput) error {
	r, err := a.findResult(name)
	if err != nil {
		return err
	}
	past, err := a.benchStore(r.Host).All()
	if err != nil {
		return err
	}
	past = slices.DeleteFunc(past, func(p bench.Result) bool { return !p.Started.Before(r.Started) })
	own, err := a.baseline(o.baseline)
	if err != nil {
		return err
	}
	if own != nil {
		r.Baseline(own)
	}
	if err := a.show(r, past, "", o); err != nil || o.gate == 0 {
		return err
	}
	return verdict(r, o.gate)
}
