package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/runner"
	"github.com/omkar619-dev/ssg-bootstrap/runner/github"
)

func newCmdRunner(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runner",
		Short: "Show or remove the GitHub Actions runner on the box",
		Long: `Show or remove the GitHub Actions runner on the box; ` + "`install`" + ` makes it, where
the configuration has a section runner with a repository. GitHub is asked with
the token in GITHUB_TOKEN (or GH_TOKEN), a fine-grained one with the permission
Administration: read and write on the repository.`,
		Example: "  ssg-bootstrap runner status --host oldpc\n  ssg-bootstrap runner remove --host oldpc",
		Args:    onlyCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCmdRunnerStatus(a), newCmdRunnerRemove(a))
	return cmd
}

func newCmdRunnerStatus(a *app) *cobra.Command {
	var o hostFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the runner is, on the box and at GitHub",
		Long: `Say how the runner is: its unit and version, whether GitHub sees it online and
with which labels, and how long GitHub takes its version. Without GITHUB_TOKEN
only the box is asked. Exits with status 1 when the runner does not work.`,
		Example: "  ssg-bootstrap runner status --host oldpc\n  ssg-bootstrap runner status --host oldpc -o json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runnerStatusRun(cmd.Context(), a, o) },
	}
	o.add(a, cmd)
	return cmd
}

type runnerRemoveOptions struct {
	hostFlags
	leave bool
	yes   bool
}

func newCmdRunnerRemove(a *app) *cobra.Command {
	var o runnerRemoveOptions
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Remove the runner from GitHub and from the box",
		Long: `Remove the runner from GitHub and from the box: its registration, unit, program
and user, and what its jobs may do in the cluster. The application stays. One
that works on a job is left alone. When GitHub cannot be reached nothing is
removed, unless you say that its record may stay there.`,
		Example: "  ssg-bootstrap runner remove --host oldpc\n  ssg-bootstrap runner remove --host oldpc --leave-at-github --yes",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runnerRemoveRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	cmd.Flags().BoolVar(&o.leave, "leave-at-github", false, "do not ask GitHub, which then shows the runner as offline for 14 days")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

// runnerInput is what the runner's steps are made from; nil where the box is to
// be no runner.
func (a *app) runnerInput(s spec.Spec, store runner.Store) (*runner.Input, error) {
	if s.Runner == nil {
		return nil, nil
	}
	credential := githubCredential{a, s.Runner.Repository}
	token, err := credential.given()
	if err != nil {
		return nil, err
	}
	gh, err := github.New(github.Options{
		API: s.Runner.API, Repository: s.Runner.Repository, Token: token, Ask: credential.ask, Tell: a.news,
	})
	if err != nil {
		return nil, err
	}
	return &runner.Input{
		Want:      *s.Runner,
		Limits:    s.Profile.Runner,
		Namespace: cmp.Or(s.Release.Namespace, release.DefaultNamespace),
		Release:   release.DefaultName,
		Store:     store,
		GitHub:    gh,
		Stall:     s.Profile.Waits.JobStall.Std(),
		Tell:      a.news,
	}, nil
}

// githubCredential is the token with which GitHub is asked about a repository.
type githubCredential struct {
	a          *app
	repository string
}

func (c githubCredential) key() secrets.Key { return secrets.Key("github/" + c.repository) }

// given is the token of the environment, else the one that was kept.
func (c githubCredential) given() (secrets.Value, error) {
	if t := cmp.Or(c.a.env.Getenv("GITHUB_TOKEN"), c.a.env.Getenv("GH_TOKEN")); t != "" {
		return secrets.NewValue(t), nil
	}
	book, err := credentialStore(c.a).Load()
	return book.Secrets[c.key()], err
}

// ask asks for the token and keeps it encrypted, as a run that repairs the
// runner needs it again.
func (c githubCredential) ask(ctx context.Context) (secrets.Value, error) {
	text, err := newPrompter(c.a).Secret(ctx, "GitHub token for "+c.repository+" (Administration: read and write), which is kept encrypted")
	if err != nil || strings.TrimSpace(text.Reveal()) == "" {
		return secrets.Value{}, err
	}
	token := secrets.NewValue(strings.TrimSpace(text.Reveal()))
	store := credentialStore(c.a)
	book, err := store.Load()
	if err != nil {
		return secrets.Value{}, err
	}
	book.Secrets = book.Secrets.With(secrets.Set{c.key(): token})
	return token, store.Save(&book)
}

// credentialStore is shared by all hosts: what opens GitHub or a tailnet belongs
// to no box. No host is called like it.
func credentialStore(a *app) *secrets.Store { return secrets.NewStore(a.stateDir(), "_credentials") }

// noRunner says that the configuration has none.
func noRunner(name string) error {
	return fault.New(fault.Usage, "add a section `runner` with a `repository` to the configuration", "the configuration makes no runner of %s", name)
}

// openRunner opens a box that is to be a runner.
func (a *app) openRunner(ctx context.Context, o hostFlags) (*session, *runner.Input, error) {
	s, err := a.open(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	in, err := s.runner()
	if err == nil && in == nil {
		err = noRunner(s.name)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, in, nil
}

// runner is the runner of this box as far as the configuration tells, without a
// look at the hardware.
func (s *session) runner() (*runner.Input, error) {
	resolved, err := spec.Resolve(s.cfg, s.name, "", spec.Hardware{})
	if err != nil {
		return nil, err
	}
	return s.a.runnerInput(resolved, nil)
}

// runnerStatus is how the runner of the box is; nil where it is to be none.
func (s *session) runnerStatus(ctx context.Context) (*runner.Status, error) {
	in, err := s.runner()
	if err != nil || in == nil {
		return nil, err
	}
	st, err := runner.Look(ctx, host.ReadOnly(s.client), *in)
	return &st, err
}

// runnerFindings grade the runner for doctor.
func (s *session) runnerFindings(ctx context.Context) ([]facts.Finding, error) {
	in, err := s.runner()
	if err != nil || in == nil {
		return nil, err
	}
	_, end := s.a.task("runner", "look at the runner")
	st, err := runner.Look(ctx, host.ReadOnly(s.client), *in)
	end(err)
	if err != nil {
		return nil, err
	}
	return append(st.Findings(s.facts, s.a.env.Now()), runner.Public(ctx, *in)...), nil
}

func runnerStatusRun(ctx context.Context, a *app, o hostFlags) error {
	s, in, err := a.openRunner(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	_, end := a.task("runner", "look at the runner of "+s.name)
	st, err := runner.Look(ctx, host.ReadOnly(s.client), *in)
	end(err)
	if err != nil {
		return err
	}
	a.answer(st, func(w io.Writer) {
		t := report.Table{}
		describeRunner(func(name, format string, args ...any) {
			t.Rows = append(t.Rows, []string{name, report.Clean(fmt.Sprintf(format, args...))})
		}, st)
		_ = t.Write(w, a.width())
	})
	if !st.Works() {
		return fault.New(fault.WaitStalled, "`ssg-bootstrap install --host "+s.name+"` registers or repairs it", "the runner %s does not work", st.Name)
	}
	return nil
}

func describeRunner(row func(name, format string, args ...any), s runner.Status) {
	switch {
	case !s.Installed:
		row("runner", "not registered on the box")
	case s.State == "active":
		row("runner", "%s of %s, version %s, runs since %s", s.Name, s.Repository, s.Version, s.Since.Format("2006-01-02 15:04 MST"))
	default:
		row("runner", "%s of %s is %s", s.Name, s.Repository, cmp.Or(s.State, "not running"))
	}
	switch {
	case s.Known:
		state := "offline"
		if s.Online {
			state = "online"
		}
		if s.Busy {
			state += ", working on a job"
		}
		row("", "GitHub says %s, labels %s", state, strings.Join(s.Labels, ", "))
	case s.Note != "":
		row("", "%s", s.Note)
	default:
		row("", "GitHub does not know it")
	}
	if !s.Ends.IsZero() {
		row("", "GitHub takes this version until %s", s.Ends.Format("2006-01-02"))
	}
}

// RunnerRemoveData is what was removed, as programs get it.
type RunnerRemoveData struct {
	Host string `json:"host"`
	Name string `json:"name"`
	runner.Removed
}

func runnerRemoveRun(ctx context.Context, a *app, o runnerRemoveOptions) error {
	s, in, err := a.openRunner(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if !o.yes {
		ask := newPrompter(a)
		if !ask.possible() {
			return fault.New(fault.NeedsAnswer, "add --yes", "the runner %s is to be removed, and there is no terminal to ask on", in.Want.Name)
		}
		yes, err := ask.Confirm(ctx, "Remove the runner "+in.Want.Name+" of "+in.Want.Repository+"?")
		if err != nil {
			return err
		}
		if !yes {
			return fault.New(fault.NeedsAnswer, "", "stopped, nothing was changed")
		}
	}
	release, err := s.client.Lock(ctx, a.holder())
	if err != nil {
		return err
	}
	defer release()
	note, end := a.task("runner", "remove the runner of "+s.name)
	gone, err := runner.Remove(ctx, s.client, *in, runner.Removal{Leave: o.leave, Cluster: true, Note: note})
	end(err)
	if err != nil {
		return err
	}
	d := RunnerRemoveData{s.name, in.Want.Name, gone}
	a.answer(d, func(w io.Writer) { fmt.Fprintln(w, report.Wrap(d.text(o.leave), a.width())) })
	return nil
}

func (d RunnerRemoveData) text(leave bool) string {
	switch {
	case !d.Here && !d.There:
		return "There was no runner " + d.Name + " on " + d.Host + "."
	case leave:
		return "The runner is gone from " + d.Host + ". GitHub shows " + d.Name + " as offline until it forgets it."
	}
	return "The runner " + d.Name + " is gone from " + d.Host + " and from GitHub."
}
