package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

type doctorOptions struct {
	hostFlags
	profile string
	noDisk  bool
	crash   bool
}

func newCmdDoctor(a *app) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine the box: what it is, what it lacks, how fast link and disk are",
		Long: `Examine the box: CPU, memory, disk, kernel, clock, network, ports and firewall,
each with a grade and, where something is to be done, its remedy. What install
brought is read for damage. The speed of the link is measured, and that of the
disk with a small probe file which is removed again. Exits with status 5 when
install would refuse the box.`,
		Example: "  ssg-bootstrap doctor --host oldpc\n  ssg-bootstrap doctor --host oldpc -o json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return doctorRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	cmd.Flags().StringVar(&o.profile, "profile", "", "judge by this `profile` (default: the configuration's, else auto)")
	cmd.Flags().BoolVar(&o.noDisk, "no-disk", false, "do not measure the disk, so that nothing is written")
	cmd.Flags().BoolVar(&o.crash, "after-crash", false, "look for what a power cut left inconsistent, and how to mend it")
	complete(cmd, "profile", profileNames)
	return cmd
}

// DoctorData is a diagnosis as programs get it.
type DoctorData struct {
	Host       string          `json:"host"`
	Profile    string          `json:"profile"`
	ProfileWhy string          `json:"profileWhy"`
	Facts      facts.Facts     `json:"facts"`
	Link       *facts.Link     `json:"link,omitempty"`
	Disk       *facts.Disk     `json:"disk,omitempty"`
	Findings   []facts.Finding `json:"findings"`
}

func doctorRun(ctx context.Context, a *app, o doctorOptions) error {
	want := specFlags{profile: o.profile}
	if err := want.check(); err != nil {
		return err
	}
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.examine(ctx, want); err != nil {
		return err
	}
	// An agent's steps are also its server's, and are no business of a look at
	// the one box.
	if s.spec.Join == "" && !s.facts.K3s.Agent {
		if err := s.assemble(ctx, want); err != nil {
			return err
		}
	}
	var m facts.Measured
	if m.Link, err = s.measureLink(ctx, facts.EnoughForAnyLink); err != nil {
		return err
	}
	if !o.noDisk && writable(s.facts) {
		if m.Disk, err = s.measureDisk(ctx); err != nil {
			return err
		}
	}
	audit, err := s.audit(ctx)
	if err != nil {
		return err
	}
	tidied, err := s.tidyBench(ctx)
	if err != nil {
		return err
	}
	joined, err := s.checkTailnet(ctx)
	if err != nil {
		return err
	}
	jobs, err := s.runnerFindings(ctx)
	if err != nil {
		return err
	}
	findings := slices.Concat(s.check(m), audit, tidied, joined, jobs)
	if o.crash {
		left, err := s.afterCrash(ctx)
		if err != nil {
			return err
		}
		findings = append(findings, left...)
	}
	data := DoctorData{
		Host: s.name, Profile: s.spec.Profile.Name, ProfileWhy: s.spec.ProfileWhy,
		Facts: s.facts, Link: m.Link, Disk: m.Disk, Findings: findings,
	}
	a.answer(data, func(w io.Writer) {
		fmt.Fprintln(w, report.Wrap(fmt.Sprintf("%s: profile %s", s.name, data.ProfileWhy), a.width()))
		writeFindings(w, findings, a.width())
	})
	return refusal(facts.Refused(findings))
}

// audit reads the large files on the box, which takes an old disk seconds.
func (s *session) audit(ctx context.Context) ([]facts.Finding, error) {
	_, end := s.a.task("k3s-files", "read k3s's files for damage")
	found, err := k3s.Audit(ctx, s.client)
	end(err)
	return found, err
}

// afterCrash looks for what a power cut left.
func (s *session) afterCrash(ctx context.Context) ([]facts.Finding, error) {
	in, err := s.a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
	if err != nil {
		return nil, err
	}
	_, end := s.a.task("after-crash", "look for what a crash left")
	found, err := s.box(in.Want).AfterCrash(ctx, host.ReadOnly(s.client))
	end(err)
	for i := range found {
		found[i].Remedy = strings.ReplaceAll(found[i].Remedy, "HOST", s.name)
	}
	return found, err
}

// writable keeps the probe off a disk where it could only fail.
func writable(f facts.Facts) bool {
	for _, fs := range f.FileSystems {
		if fs.ReadOnly || fs.Free < 1<<20 {
			return false
		}
	}
	return true
}

// writeFindings prints one line per finding, worst last, so that it stands
// where the eye is.
func writeFindings(w io.Writer, findings []facts.Finding, width int) {
	t := report.Table{}
	for _, g := range []facts.Grade{facts.OK, facts.Note, facts.Warn, facts.Refuse} {
		for _, f := range findings {
			if f.Grade != g {
				continue
			}
			t.Rows = append(t.Rows, []string{string(f.Grade), f.Check, report.Clean(f.Text)})
			if f.Remedy != "" {
				t.Rows = append(t.Rows, []string{"", "", "try: " + f.Remedy})
			}
		}
	}
	_ = t.Write(w, width)
}

// refusal is the error for findings that speak against the box.
func refusal(refused []facts.Finding) error {
	if len(refused) == 0 {
		return nil
	}
	names, lines := []string{}, []string{}
	for _, f := range refused {
		names = append(names, f.Check)
		lines = append(lines, f.Check+": "+f.Text)
		if f.Remedy != "" {
			lines = append(lines, "  try: "+f.Remedy)
		}
	}
	return &fault.Error{
		Code:     fault.PreflightRefused,
		Op:       "preflight",
		Err:      fmt.Errorf("the box cannot carry the cluster as it is: %s", strings.Join(names, ", ")),
		Evidence: strings.Join(lines, "\n"),
	}
}
