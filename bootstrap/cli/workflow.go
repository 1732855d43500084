package cli

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/runner/workflow"
)

type workflowOptions struct {
	host     string
	chart    string
	registry string
	script   string
}

func newCmdWorkflow(a *app) *cobra.Command {
	var o workflowOptions
	cmd := &cobra.Command{
		Use:   "workflow",
		Short: "Print the CI/CD workflow for the application's repository",
		Long: `Print the CI/CD workflow for the application's repository: lint and build, image
to the registry, deployment on EC2, and deployment on the box by its runner,
checked through the ingress. Actions are pinned to commits. Save it there as
.github/workflows/deploy.yml. Nothing is asked and nothing is changed.`,
		Example: "  ssg-bootstrap workflow > .github/workflows/deploy.yml\n  ssg-bootstrap workflow --chart ./chart\n  ssg-bootstrap workflow --script deploy-k3s",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return workflowRun(a, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.host, "host", "", "the box whose runner deploys: a `name` in the configuration")
	f.StringVar(&o.chart, "chart", "./deploy/helm/studentsystemgo", "the chart's `folder` in the repository, beginning with ./")
	f.StringVar(&o.registry, "registry", "ghcr.io", "the `registry` of the image")
	f.StringVar(&o.script, "script", "", "print only the shell of this `job`, to run it by hand")
	complete(cmd, "host", func() []string { return a.hostNames() })
	complete(cmd, "script", func() []string { return []string{workflow.DeployJob} })
	return cmd
}

// WorkflowData is the workflow, as programs get it.
type WorkflowData struct {
	Workflow string `json:"workflow,omitempty"`
	Script   string `json:"script,omitempty"`
}

func workflowRun(a *app, o workflowOptions) error {
	in, err := a.workflowInput(o)
	if err != nil {
		return err
	}
	text, err := workflow.Render(in)
	if err != nil {
		return err
	}
	d := WorkflowData{Workflow: text}
	if o.script != "" {
		script, err := workflow.Script(text, o.script)
		if err != nil {
			return err
		}
		d = WorkflowData{Script: script}
	}
	a.answer(d, func(w io.Writer) { fmt.Fprint(w, d.Workflow, d.Script) })
	return nil
}

// workflowInput takes from the configuration what it says; without one the
// workflow is that of the defaults.
func (a *app) workflowInput(o workflowOptions) (workflow.Input, error) {
	in := workflow.Input{Registry: o.registry, Chart: o.chart, Release: release.DefaultName, Namespace: release.DefaultNamespace}
	cfg, err := a.loadConfig()
	if err != nil {
		return in, err
	}
	name, err := chooseHost(cfg, o.host)
	if err != nil {
		if len(cfg.Hosts) == 0 && o.host == "" {
			return in, nil
		}
		return in, err
	}
	s, err := spec.Resolve(cfg, name, "", spec.Hardware{})
	if err != nil {
		return in, err
	}
	in.Namespace = cmp.Or(s.Release.Namespace, in.Namespace)
	if s.Runner != nil {
		in.Labels = s.Runner.Labels
	}
	return in, nil
}
