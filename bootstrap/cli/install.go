package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

type installOptions struct {
	hostFlags
	specFlags
	yes     bool
	adopt   bool
	restore string
}

func newCmdInstall(a *app) *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Bring the box to a serving application, from wherever it is now",
		Long: `Bring the box to a Ready cluster on which the application serves, from wherever
it is now: a fresh Debian, a run that broke off, or a box that has drifted. Only
what differs is changed; a second run changes nothing. When it fails, nothing is
undone but a release that does not come up: run the same line again. A box that
lost everything is offered its newest backup. With --join it becomes an agent of
another box's cluster, and runs pods for it.`,
		Example: "  ssg-bootstrap install --host oldpc\n  ssg-bootstrap install --host root@192.168.1.20 --profile core2duo-4gb\n  ssg-bootstrap install --host oldpc --host-key SHA256:…\n  ssg-bootstrap install --host newpc --join oldpc",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return installRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	o.specFlags.add(a, cmd)
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask before restarting a k3s that serves")
	cmd.Flags().StringVar(&o.restore, "restore", "", "bring the backup with this `ID` back onto an empty box; latest for the newest, none for no backup")
	_ = cmd.RegisterFlagCompletionFunc("restore", a.backupIDs(&o.host, "latest", noRestore))
	cmd.Flags().BoolVar(&o.adopt, "adopt", false, "change what somebody else configured; see it first with plan --diff")
	return cmd
}

func installRun(ctx context.Context, a *app, o installOptions) error {
	if err := o.specFlags.check(); err != nil {
		return err
	}
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.joinBy(ctx, o.specFlags); err != nil {
		return err
	}
	if err := s.examine(ctx, o.specFlags); err != nil {
		return err
	}
	if err := s.recoverable(ctx, o.restore); err != nil {
		return err
	}
	if err := s.assemble(ctx, o.specFlags); err != nil {
		return err
	}
	return s.change(ctx, func(p measuredPlan) error {
		if err := s.preflight(ctx, p); err != nil {
			return err
		}
		if err := s.askForTailnet(ctx, p); err != nil {
			return err
		}
		if err := s.fetchImages(ctx, p); err != nil {
			return err
		}
		if err := s.consent(ctx, p, o); err != nil {
			return err
		}
		return s.converge(ctx, p, o)
	})
}

// change lets apply carry out what the box lacks, unless it lacks nothing.
func (s *session) change(ctx context.Context, apply func(measuredPlan) error) error {
	if err := refusal(facts.Refused(s.check(facts.Measured{}))); err != nil {
		return err
	}
	if err := s.tidyBenchFirst(ctx); err != nil {
		return err
	}
	p, err := s.compare(ctx, firstLook)
	if err != nil {
		return err
	}
	if p.Empty() {
		return s.unchanged(p)
	}
	// Only a run that changes something needs the box for itself. Another one
	// may have been at work until now, so what is to be done is asked again.
	release, err := s.client.Lock(ctx, s.a.holder())
	if err != nil {
		return err
	}
	defer release()
	if s.server != nil {
		free, err := s.server.client.Lock(ctx, s.a.holder())
		if err != nil {
			return fmt.Errorf("take %s: %w", s.server.name, err)
		}
		defer free()
	}
	if p, err = s.plan(ctx, lookAgain); err != nil {
		return err
	}
	if p.Empty() {
		return s.unchanged(p)
	}
	return apply(p)
}

func (s *session) unchanged(p measuredPlan) error {
	s.a.answer(InstallData{Host: s.name, Unchanged: allSteps(p.Plan)}, func(w io.Writer) {
		fmt.Fprintf(w, "No changes: %s is as it should be (%s looked at).\n", s.name, report.Count(len(p.Steps), "step"))
	})
	return nil
}

// preflight measures what only matters when something is to be changed, and
// says what is worth knowing before it starts.
func (s *session) preflight(ctx context.Context, p measuredPlan) error {
	disk, err := s.measureDisk(ctx)
	if err != nil {
		return err
	}
	findings := s.check(facts.Measured{Link: p.link, Disk: disk})
	if err := refusal(facts.Refused(findings)); err != nil {
		return err
	}
	for _, f := range findings {
		if f.Grade == facts.Warn {
			s.a.tell(fmt.Sprintf("warning: %s: %s; %s", f.Check, f.Text, f.Remedy))
		}
	}
	s.a.tell("profile " + s.spec.ProfileWhy)
	s.a.tell(p.summary())
	return nil
}

// consent asks before a restart that interrupts what the box serves. Without a
// terminal the command itself is the consent.
func (s *session) consent(ctx context.Context, p measuredPlan, o installOptions) error {
	ask := newPrompter(s.a)
	runs, name := s.facts.K3s.Active, s.name
	if s.server != nil {
		runs, name = true, s.server.name
	}
	if o.yes || !runs || !restartsK3s(p.Plan) || !ask.possible() {
		return nil
	}
	yes, err := ask.Confirm(ctx, "This restarts the k3s that runs on "+name+"; its pods keep running, its API is away for minutes. Go on?")
	if err == nil && !yes {
		err = fault.New(fault.NeedsAnswer, "see the changes with `ssg-bootstrap plan --host "+s.name+" --diff`", "stopped, nothing was changed")
	}
	return err
}

func restartsK3s(p step.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s step.Planned) bool {
		return slices.ContainsFunc(s.Changes, func(c step.Change) bool { return strings.TrimSuffix(c.Restarts, ".service") == "k3s" })
	})
}

// InstallData is what a run did, as programs get it.
type InstallData struct {
	Host string `json:"host"`
	// Server is the host whose cluster the box joined; empty for a server.
	Server       string     `json:"server,omitempty"`
	Changed      []StepTime `json:"changed,omitempty"`
	Unchanged    []step.ID  `json:"unchanged,omitempty"`
	TookSeconds  float64    `json:"tookSeconds"`
	BytesSent    int64      `json:"bytesSent"`
	BytesGot     int64      `json:"bytesGot"`
	RoundTrips   int        `json:"roundTrips"`
	Reconnection int        `json:"reconnections"`
}

// StepTime is how long a step took.
type StepTime struct {
	Step        step.ID `json:"step"`
	Title       string  `json:"title"`
	TookSeconds float64 `json:"tookSeconds"`
}

func allSteps(p step.Plan) []step.ID {
	var out []step.ID
	for _, s := range p.Steps {
		out = append(out, s.Step)
	}
	return out
}

func (s *session) converge(ctx context.Context, p measuredPlan, o installOptions) error {
	var took []StepTime
	begin := s.a.env.Now()
	result, err := s.carryOut(ctx, p, step.Options{Adopt: o.adopt}, func(e step.Event) {
		if e.Kind == step.StepDone {
			took = append(took, StepTime{e.Step, e.Title, e.Took.Seconds()})
		}
	})
	stats := s.client.Stats()
	data := InstallData{
		Host: s.name, Server: s.spec.Join, Changed: took, Unchanged: result.Unchanged, TookSeconds: result.Took.Seconds(),
		BytesSent: stats.BytesOut, BytesGot: stats.BytesIn, RoundTrips: stats.RoundTrips, Reconnection: max(0, stats.Connects-1),
	}
	if err != nil {
		s.a.data = data
		return err
	}
	if deploysFirst(p.Plan) {
		s.recordDeployment(ctx, begin)
	}
	s.a.answer(data, func(w io.Writer) { data.write(w, s.a.width()) })
	return nil
}

// keepUploads is for how many days a broken upload may still be continued.
// Releases and images change, and what was sent of one that nobody wants any
// more would stay on the box for good.
const keepUploads = 7

// carryOut makes the plan's changes, shows how far it is, and remembers how
// long each step took.
func (s *session) carryOut(ctx context.Context, p measuredPlan, o step.Options, see step.Observer) (step.Result, error) {
	rep := s.a.report()
	expected := s.expectations(p)
	rep.Expect(expected)
	o.Rate = p.rate()
	result, err := step.Converge(ctx, s.steps, s.client, p.Plan, o, func(e step.Event) {
		if e.Kind == step.StepStarted {
			e.Last = expected[e.Step].Last
		}
		rep.Event(e)
		s.past.see(e)
		see(e)
	})
	if saveErr := s.past.save(); saveErr != nil {
		s.a.logger().Warn("history not saved", "error", saveErr)
	}
	if err == nil {
		err = s.client.CleanUploads(ctx, keepUploads)
	}
	return result, err
}

func (s *session) expectations(p measuredPlan) map[step.ID]report.Expectation {
	out := make(map[step.ID]report.Expectation, len(p.Steps))
	for _, planned := range p.Steps {
		x := report.Expectation{}
		if len(planned.Changes) > 0 || planned.Deferred {
			one := step.Plan{Steps: []step.Planned{planned}}
			x = report.Expectation{Last: s.past.last(planned.Step), Planned: one.Estimate(p.rate()), Bytes: one.Bytes()}
		}
		out[planned.Step] = x
	}
	return out
}

func (d InstallData) write(w io.Writer, width int) {
	if len(d.Changed) == 0 {
		fmt.Fprintf(w, "No changes: %s is as it should be.\n", d.Host)
		return
	}
	t := report.Table{Head: []string{"STEP", "TOOK", ""}, Right: []int{1}}
	for _, c := range d.Changed {
		t.Rows = append(t.Rows, []string{string(c.Step), report.Duration(seconds(c.TookSeconds)), c.Title})
	}
	_ = t.Write(w, width)
	fmt.Fprintf(w, "\n%s is ready: %s changed, %d unchanged, in %s; %s sent.\n\nWhat next:\n",
		d.Host, report.Count(len(d.Changed), "step"), len(d.Unchanged), report.Duration(seconds(d.TookSeconds)), report.Bytes(d.BytesSent))
	next := report.Table{Indent: "  "}
	if d.Server != "" {
		next.Rows = [][]string{
			{"ssg-bootstrap status --host " + d.Server, "says how the cluster is, this node with it"},
			{"ssg-bootstrap status --host " + d.Host, "says how this box is"},
		}
		_ = next.Write(w, width)
		return
	}
	next.Rows = [][]string{
		{"ssg-bootstrap kubeconfig --host " + d.Host, "lets kubectl reach it as the context " + d.Host},
		{"ssg-bootstrap tunnel --host " + d.Host, "opens the way there"},
		{"ssg-bootstrap status --host " + d.Host, "says how it is"},
	}
	_ = next.Write(w, width)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
