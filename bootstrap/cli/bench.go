package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

type benchOptions struct {
	hostFlags
	benchOutput
	profile     string
	runs        int
	only        []string
	dropCaches  bool
	restart     bool
	stopRelease bool
	reboot      bool
	yes         bool
	clean       bool
}

// benchOutput is how a result is shown.
type benchOutput struct {
	markdown bool
	html     string
	gate     float64
	baseline string
}

func newCmdBench(a *app) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure boots, memory, link and disk against the documented table",
		Long: `Measure boots, memory, link and disk against the documented table. What serves
is not touched: boots are those of a second release on scratch volumes, in the
namespace ssg-bench, which is removed at the end and, after a crash, by the next
run. Each boot is timed on the box, from the start of the container's program to
its first answer. Takes 15 to 25 minutes on a Core 2 Duo; --only takes less.`,
		Example: `  ssg-bootstrap bench --host oldpc
  ssg-bootstrap bench --host oldpc --only idle-memory,disk-used --markdown
  ssg-bootstrap bench --host oldpc --html bench.html --gate 20`,
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return benchRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	o.benchOutput.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.profile, "profile", "", "measure against this `profile`'s table (default: the configuration's, else auto)")
	f.IntVar(&o.runs, "runs", 0, "time every boot so `often` (default: 3, and 1 of those that take minutes)")
	f.StringSliceVar(&o.only, "only", nil, "only this `metric`; may be repeated")
	f.BoolVar(&o.dropCaches, "drop-caches", false, "empty the box's page cache before each boot")
	f.BoolVar(&o.restart, "restart", false, "take further boots from the release that serves, one component at a time")
	f.BoolVar(&o.stopRelease, "stop-release", false, "stop the release that serves while boots are measured, to make room")
	f.BoolVar(&o.reboot, "reboot", false, "restart the box at the end and time it until its node is Ready")
	f.BoolVar(&o.yes, "yes", false, "do not ask before something that serves is stopped")
	f.BoolVar(&o.clean, "clean", false, "only remove what a run that broke off has left on the box")
	complete(cmd, "profile", profileNames)
	complete(cmd, "only", bench.MetricNames)
	cmd.AddCommand(newCmdBenchCompare(a), newCmdBenchShow(a))
	return cmd
}

func (o *benchOutput) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.markdown, "markdown", false, "print the table as Markdown, in the shape of the documented one")
	f.StringVar(&o.html, "html", "", "also write a page with plots to this `file`")
	f.Float64Var(&o.gate, "gate", 0, "exit with status 3 when a figure is worse than last time by more than so many `percent`")
	f.StringVar(&o.baseline, "baseline", "", "`file` with figures of your own to stand beside the documented ones")
}

// check finds mistakes in the flags before the box is asked for anything.
func (o benchOptions) check() error {
	for _, m := range o.only {
		if !slices.Contains(bench.MetricNames(), m) {
			return fault.New(fault.Usage, "use one of "+strings.Join(bench.MetricNames(), ", "), "there is no metric %q", m)
		}
	}
	switch {
	case o.runs < 0 || o.runs > 50:
		return fault.New(fault.Usage, "give a number from 1 to 50, or leave --runs out", "--runs %d is not possible", o.runs)
	case o.gate < 0:
		return fault.New(fault.Usage, "give percents, as in --gate 20", "--gate %v is not possible", o.gate)
	case o.restart && o.stopRelease:
		return fault.New(fault.Usage, "give one of them", "--restart needs the release that --stop-release stops")
	}
	return specFlags{profile: o.profile}.check()
}

func (o benchOptions) options() bench.Options {
	out := bench.Options{Runs: o.runs, DropCaches: o.dropCaches, Restart: o.restart, StopRelease: o.stopRelease}
	if len(o.only) > 0 {
		out.Wants = func(m bench.Metric) bool { return slices.Contains(o.only, string(m)) }
	}
	return out
}

func benchRun(ctx context.Context, a *app, o benchOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	own, err := a.baseline(o.baseline)
	if err != nil {
		return err
	}
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.examine(ctx, specFlags{profile: o.profile}); err != nil {
		return err
	}
	if !s.facts.K3s.Active {
		return fault.New(fault.NotInstalled, "", "k3s does not run on %s", s.name)
	}
	unlock, err := s.client.Lock(ctx, a.holder())
	if err != nil {
		return err
	}
	defer unlock()
	in, err := s.benchInput(ctx, o)
	if err != nil {
		return err
	}
	if err := s.cleanBench(ctx, in.Cluster); err != nil || o.clean {
		return s.cleaned(err)
	}
	if err := s.consentBench(ctx, o, in); err != nil {
		return err
	}
	r, err := bench.Measure(ctx, in)
	r.Document(s.spec.Profile.Documented, own)
	return s.present(r, err, o.benchOutput)
}

// cleaned is the end of a run that only cleans.
func (s *session) cleaned(err error) error {
	if err != nil {
		return err
	}
	s.a.answer(map[string]string{"host": s.name}, func(w io.Writer) { fmt.Fprintf(w, "Nothing of bench is left on %s.\n", s.name) })
	return nil
}

// benchInput puts together what is measured.
func (s *session) benchInput(ctx context.Context, o benchOptions) (bench.Input, error) {
	in := bench.Input{
		Host: s.client, Facts: s.facts, Name: s.name, Holder: s.a.holder(), Options: o.options(), Now: s.a.env.Now,
		Versions: bench.Versions{Tool: toolVersion(), Profile: s.spec.Profile.Name},
		Task: func(id, title string) (func(string), func(error)) {
			return s.a.task(step.ID(id), title)
		},
	}
	namespace := release.DefaultNamespace
	if s.spec.Release.On() {
		r, err := s.a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
		if err != nil {
			return in, err
		}
		if in.Tag, err = s.deployedTag(ctx, r.Want); err != nil {
			return in, err
		}
		in.Want, namespace = &r.Want, r.Want.Namespace
	}
	var err error
	if in.Cluster, err = release.OnBox(ctx, s.client, namespace); err != nil {
		return in, err
	}
	if in.Versions.K3s, in.Versions.Runtime, err = bench.NodeVersions(ctx, in.Cluster); err != nil {
		return in, err
	}
	in.Versions.Images, err = bench.ImagesOf(ctx, in.Cluster, release.DefaultName)
	if o.reboot {
		in.Reboot = func(ctx context.Context, note func(string)) (bench.Row, error) {
			return bench.Reboot(ctx, s.client, in.Cluster, s.spec.Profile.Waits.NodeStall.Std(), note)
		}
	}
	return in, err
}

// cleanBench removes what an earlier run left on the box. This run holds the
// box's lock, so nobody is at work with it.
func (s *session) cleanBench(ctx context.Context, c *cluster.Cluster) error {
	if err := bench.StopObserver(ctx, s.client); err != nil {
		return err
	}
	left, err := bench.FindLeftover(ctx, c)
	if err != nil {
		return err
	}
	if left != nil {
		note, end := s.a.task("bench-clean", "remove what the run of "+left.Holder+" left")
		err = bench.Clean(ctx, c, s.spec.Profile.Waits.PodsStall.Std(), note)
		end(err)
	}
	if err != nil || s.facts.Bench == "" {
		return err
	}
	return bench.Unmark(ctx, s.client)
}

// consentBench asks before something that serves is stopped. Without a
// terminal the flag itself is the consent.
func (s *session) consentBench(ctx context.Context, o benchOptions, in bench.Input) error {
	what := stops(o)
	ask := newPrompter(s.a)
	if what == "" || o.yes || !ask.possible() {
		if what != "" {
			s.a.tell(what)
		}
		return nil
	}
	yes, err := ask.Confirm(ctx, what+" Go on?")
	if err == nil && !yes {
		err = fault.New(fault.NeedsAnswer, "leave --restart, --stop-release and --reboot out: then nothing that serves is touched", "stopped, nothing was changed")
	}
	return err
}

// stops says what stops and for how long.
func stops(o benchOptions) string {
	var out []string
	if o.restart {
		out = append(out, "Each component of the release stops in turn, for as long as it takes to boot, and the application fails meanwhile.")
	}
	if o.stopRelease {
		out = append(out, "The whole release stops until all boots are measured, a quarter of an hour or more, and is started again then.")
	}
	if o.reboot {
		out = append(out, "The box restarts at the end; everything on it is away for minutes.")
	}
	return strings.Join(out, " ")
}

// present compares, keeps and shows a result. failed is what ended the
// measurement early: what was measured by then is shown all the same.
func (s *session) present(r bench.Result, failed error, o benchOutput) error {
	store := s.a.benchStore(s.name)
	past, err := store.All()
	if err != nil {
		return errors.Join(failed, err)
	}
	r.CompareWithLast(past)
	where := ""
	if slices.ContainsFunc(r.Rows, bench.Row.Measured) {
		if where, err = store.Save(r); err != nil {
			return errors.Join(failed, err)
		}
	}
	if err := s.a.show(r, past, where, o); err != nil {
		return errors.Join(failed, err)
	}
	if failed != nil {
		return failed
	}
	return verdict(r, o.gate)
}

// show prints a result in the way that was asked for.
func (a *app) show(r bench.Result, past []bench.Result, where string, o benchOutput) error {
	a.answer(r, func(w io.Writer) {
		if o.markdown {
			_ = r.WriteMarkdown(w)
			return
		}
		_ = r.WriteTable(w, a.width())
		if where != "" {
			fmt.Fprintf(w, "\n%s\n", report.Wrap("Measured in "+report.Duration(seconds(r.Took))+"; kept as "+where, a.width()))
			if o.html == "" {
				fmt.Fprintf(w, "%s\n", report.Wrap("`ssg-bootstrap bench show "+r.Host+" --html bench.html` makes a page with plots of it.", a.width()))
			}
		}
	})
	if o.html == "" {
		return nil
	}
	page, err := r.HTML(past)
	if err != nil {
		return err
	}
	return atomicfile.Write(o.html, page, 0o644)
}

// verdict is the command's error when rows are empty or worse than allowed.
func verdict(r bench.Result, gate float64) error {
	if gate > 0 {
		var lines []string
		for _, row := range r.Regressions(gate) {
			lines = append(lines, fmt.Sprintf("%s: %s, was %s", row.Title, bench.Show(row.Median, row.Unit), bench.Show(row.Last.Median, row.Unit)))
		}
		if len(lines) > 0 {
			return &fault.Error{Code: fault.BenchRegressed, Err: fmt.Errorf("%d figures are worse by more than %v %%", len(lines), gate), Evidence: strings.Join(lines, "\n")}
		}
	}
	var lines []string
	for _, row := range r.Unmeasured() {
		lines = append(lines, row.Title+": "+row.Failure.Text)
	}
	if len(lines) > 0 {
		return &fault.Error{Code: fault.BenchIncomplete, Err: fmt.Errorf("%s not measured", report.Count(len(lines), "row")), Evidence: strings.Join(lines, "\n")}
	}
	return nil
}

func (a *app) benchStore(name string) bench.Store {
	return bench.NewStore(filepath.Join(a.stateDir(), fileName(name), "bench"))
}

// toolVersion is this program's own.
func toolVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			revision = s.Value[:12]
		}
	}
	return revision
}
