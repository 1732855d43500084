package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

type planOptions struct {
	hostFlags
	specFlags
	exitCode bool
	diff     bool
}

func newCmdPlan(a *app) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what install would change, without changing anything",
		Long: `Show what install would change: each change with a word for what it does, the
bytes it sends, what it restarts and why, and how long it takes at the measured
speed of the link. Planning cannot change the box.`,
		Example: "  ssg-bootstrap plan --host oldpc\n  ssg-bootstrap plan --host oldpc --diff\n  ssg-bootstrap plan --host oldpc --exit-code -o json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return planRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	o.specFlags.add(a, cmd)
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with status 3 when there are changes")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "show the differences of files that exist")
	return cmd
}

func planRun(ctx context.Context, a *app, o planOptions) error {
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
	if err := s.look(ctx, o.specFlags); err != nil {
		return err
	}
	s.tellBench()
	p, err := s.plan(ctx, firstLook)
	if err != nil {
		return err
	}
	findings := s.check(facts.Measured{Link: p.link})
	a.answer(p.data(findings), func(w io.Writer) {
		writeFindings(w, facts.Refused(findings), a.width())
		p.write(w, a.width(), o.diff)
	})
	if o.exitCode && !p.Empty() {
		return fault.New(fault.ChangesFound, "", "%s differs from what it should be", s.name)
	}
	return nil
}

// measuredPlan is a plan with the link that it would go over.
type measuredPlan struct {
	step.Plan
	host    string
	profile string
	why     string
	// link is nil when nothing is to be sent.
	link *facts.Link
}

func (p measuredPlan) rate() float64 {
	if p.link == nil {
		return 0
	}
	return p.link.Rate
}

// PlanData is a plan as programs get it.
type PlanData struct {
	Host            string          `json:"host"`
	Profile         string          `json:"profile"`
	ProfileWhy      string          `json:"profileWhy"`
	Empty           bool            `json:"empty"`
	Steps           []PlannedStep   `json:"steps"`
	Bytes           int64           `json:"bytes"`
	BytesPerSecond  float64         `json:"bytesPerSecond,omitempty"`
	EstimateSeconds float64         `json:"estimateSeconds"`
	Findings        []facts.Finding `json:"findings"`
}

// PlannedStep is one step of a plan as programs get it.
type PlannedStep struct {
	Step     step.ID         `json:"step"`
	Title    string          `json:"title"`
	Changes  []report.Change `json:"changes,omitempty"`
	Deferred bool            `json:"deferred,omitempty"`
}

func (p measuredPlan) data(findings []facts.Finding) PlanData {
	d := PlanData{
		Host: p.host, Profile: p.profile, ProfileWhy: p.why, Empty: p.Empty(), Steps: []PlannedStep{},
		Bytes: p.Bytes(), BytesPerSecond: p.rate(), EstimateSeconds: p.Estimate(p.rate()).Seconds(), Findings: findings,
	}
	for _, s := range p.Steps {
		d.Steps = append(d.Steps, PlannedStep{Step: s.Step, Title: s.Title, Changes: report.Changes(s.Changes), Deferred: s.Deferred})
	}
	return d
}

func (p measuredPlan) write(w io.Writer, width int, diff bool) {
	fmt.Fprintln(w, report.Wrap(fmt.Sprintf("%s: profile %s", p.host, p.why), width))
	var unchanged []string
	for _, s := range p.Steps {
		switch {
		case s.Deferred:
			fmt.Fprintf(w, "\n%s: %s\n  later   %s\n", s.Step, s.Title, step.ErrDeferred)
		case len(s.Changes) > 0:
			writeStep(w, s, width, diff)
		default:
			unchanged = append(unchanged, string(s.Step))
		}
	}
	fmt.Fprintln(w)
	if len(unchanged) > 0 {
		fmt.Fprintln(w, report.Wrap("As it should be: "+strings.Join(unchanged, ", ")+".", width))
	}
	fmt.Fprintln(w, report.Wrap(p.summary(), width))
}

func writeStep(w io.Writer, s step.Planned, width int, diff bool) {
	fmt.Fprintf(w, "\n%s: %s\n", s.Step, s.Title)
	t := report.Table{Indent: "  ", Right: []int{1}}
	for _, c := range s.Changes {
		sends := ""
		if c.Bytes > 0 {
			sends = report.Bytes(c.Bytes)
		}
		t.Rows = append(t.Rows, []string{string(c.Verb), sends, report.Clean(c.Object + reason(c))})
	}
	_ = t.Write(w, width)
	for _, c := range s.Changes {
		if diff && c.Diff != "" {
			fmt.Fprintln(w, "  | "+strings.ReplaceAll(strings.TrimRight(report.Clean(c.Diff), "\n"), "\n", "\n  | "))
		}
	}
}

func reason(c step.Change) string {
	parts := []string{}
	if c.Why != "" {
		parts = append(parts, c.Why)
	}
	if c.Restarts != "" {
		parts = append(parts, "restarts "+c.Restarts)
	}
	if c.Foreign {
		parts = append(parts, "not made by ssg-bootstrap, needs --adopt")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// summary is the plan in one sentence.
func (p measuredPlan) summary() string {
	if p.Empty() {
		return "No changes."
	}
	changes, steps, later := 0, 0, 0
	for _, s := range p.Steps {
		if len(s.Changes) > 0 {
			steps++
		}
		if s.Deferred {
			later++
		}
		changes += len(s.Changes)
	}
	text := fmt.Sprintf("%s in %s", report.Count(changes, "change"), report.Count(steps, "step"))
	if later > 0 {
		text += fmt.Sprintf(", and %s known later", report.Count(later, "step"))
	}
	if n := p.Bytes(); n > 0 {
		text += "; sends " + report.Bytes(n)
	}
	if d := p.Estimate(p.rate()); d > 0 {
		text += "; takes " + minutes(d)
	}
	if p.link != nil {
		text += fmt.Sprintf(" at the measured %s", report.Rate(p.link.Rate))
	}
	return text + "."
}

// minutes is an estimate in the unit in which people wait for an install.
func minutes(d time.Duration) string {
	if d < 90*time.Second {
		return report.About(d)
	}
	return fmt.Sprintf("about %d minutes", int(d.Round(time.Minute)/time.Minute))
}
