package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

func newCmdBenchCompare(a *app) *cobra.Command {
	var o benchOutput
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Show what differs between two results",
		Long: `Show what differs between two results: A is held against B. Each is a file that
bench -o json wrote, a kept one, or a host, which stands for its newest result.
A difference is called better or worse only when a rank test of the runs says
so.`,
		Example: "  ssg-bootstrap bench compare oldpc otherpc\n  ssg-bootstrap bench compare after.json before.json --gate 10",
		Args:    cobra.ExactArgs(2),
		RunE:    func(_ *cobra.Command, args []string) error { return benchCompareRun(a, args[0], args[1], o) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.hostNames(), cobra.ShellCompDirectiveDefault
		},
	}
	o.add(cmd)
	return cmd
}

func benchCompareRun(a *app, first, second string, o benchOutput) error {
	r, err := a.findResult(first)
	if err != nil {
		return err
	}
	other, err := a.findResult(second)
	if err != nil {
		return err
	}
	r.Compare(other)
	if own, err := a.baseline(o.baseline); err != nil {
		return err
	} else if own != nil {
		r.Baseline(own)
	}
	if err := a.show(r, []bench.Result{other}, "", o); err != nil {
		return err
	}
	if o.gate > 0 {
		return verdict(r, o.gate)
	}
	return nil
}

// findResult reads a file, or the newest result of a host.
func (a *app) findResult(name string) (bench.Result, error) {
	if _, err := os.Stat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return bench.ReadFile(name)
	}
	all, err := a.benchStore(name).All()
	if err != nil {
		return bench.Result{}, err
	}
	if len(all) == 0 {
		return bench.Result{}, fault.New(fault.Usage, "measure it with `ssg-bootstrap bench --host "+name+"`, or give a file", "%q is neither a file nor a host that was measured here", name)
	}
	return all[len(all)-1], nil
}

// baseline reads the user's own figures; none without a file.
func (a *app) baseline(path string) ([]profiles.Documented, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &fault.Error{Code: fault.Usage, Op: "read the baseline", Err: err, Next: "give a file that begins with `figures:`"}
	}
	own, err := bench.ParseBaseline(path, data)
	if err != nil {
		return nil, fmt.Errorf("read the baseline: %w", err)
	}
	return own, nil
}
