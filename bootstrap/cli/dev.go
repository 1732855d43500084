package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/dev"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/chart"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

type devOptions struct {
	name     string
	port     int
	imageTag string
	values   string
	confirm  string
}

func newCmdDev(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Make a cluster for development on this computer, with k3d",
		Long: `Make a cluster for development on this computer, with Docker and k3d, and bring
the same chart to it with local values. Its context, k3d-dev, stands beside the
boxes' in your kubeconfig; the current context is left as it is.`,
		Example: "  ssg-bootstrap dev up\n  ssg-bootstrap dev load ssg:mine\n  ssg-bootstrap dev down",
		Args:    onlyCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCmdDevUp(a), newCmdDevLoad(a), newCmdDevDown(a))
	return cmd
}

func (o *devOptions) addName(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.name, "name", "dev", "the cluster's `name`; its context is k3d-NAME")
	_ = cmd.RegisterFlagCompletionFunc("name", cobra.NoFileCompletions)
}

func newCmdDevUp(a *app) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the cluster up, with images and application",
		Long: `Make or start the cluster, import the images from Docker and deploy the chart
with the values of its preset "local". A second time it changes what differs.`,
		Example: "  ssg-bootstrap dev up\n  ssg-bootstrap dev up --image-tag sha-1a2b3c4 --values mine.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return devUpRun(cmd.Context(), a, o) },
	}
	o.addName(cmd)
	cmd.Flags().IntVar(&o.port, "port", 8080, "the `port` on 127.0.0.1 where a new cluster's ingress listens")
	cmd.Flags().StringVar(&o.imageTag, "image-tag", "", "the application's image `tag` (default: the values', else the one that is deployed, else the chart's)")
	cmd.Flags().StringVar(&o.values, "values", "", "a `file` with values for the chart, above the local ones")
	return cmd
}

func newCmdDevLoad(a *app) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "load [IMAGE…]",
		Short: "Bring images from Docker into the cluster",
		Long: `Bring images from Docker into the cluster: those that are named, else all that
the chart uses. What Docker lacks is pulled first.`,
		Example: "  ssg-bootstrap dev load\n  ssg-bootstrap dev load ghcr.io/omkar619-dev/studentsystemgo:mine",
		RunE:    func(cmd *cobra.Command, args []string) error { return devLoadRun(cmd.Context(), a, o, args) },
	}
	o.addName(cmd)
	cmd.Flags().StringVar(&o.imageTag, "image-tag", "", "the application's image `tag`, where no image is named (default: the chart's)")
	return cmd
}

func newCmdDevDown(a *app) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:     "down",
		Short:   "Remove the cluster and all of its data",
		Long:    "Remove the cluster with its data and its context, after you typed its context's\nname. No box is touched.",
		Example: "  ssg-bootstrap dev down\n  ssg-bootstrap dev down --confirm k3d-dev",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return devDownRun(cmd.Context(), a, o) },
	}
	o.addName(cmd)
	cmd.Flags().StringVar(&o.confirm, "confirm", "", "the `context`, typed beforehand; the data is lost")
	return cmd
}

// state names what this computer keeps of the cluster, as `--context` does.
func (o devOptions) state() string { return "context-k3d-" + o.name }

// cluster describes the cluster, after a look at what this computer has.
func (o devOptions) cluster(ctx context.Context, note func(string)) (dev.Cluster, error) {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`).MatchString(o.name) {
		return dev.Cluster{}, fault.New(fault.Usage, "use at most 32 lower-case letters, digits and hyphens", "%q is no name for a cluster", o.name)
	}
	// The same k3s as on the box, so that what works here works there.
	p, err := profiles.Load(profiles.Names()[0])
	if err != nil {
		return dev.Cluster{}, err
	}
	c := dev.Cluster{Tools: dev.Programs{}, Name: o.name, Port: o.port, Note: note}
	if strings.Contains(p.K3s.Version, "+") {
		c.Version = p.K3s.Version
	}
	return c, c.Ready(ctx)
}

// existing is the cluster, which must be there.
func (o devOptions) existing(ctx context.Context, note func(string)) (dev.Cluster, error) {
	c, err := o.cluster(ctx, note)
	if err != nil {
		return c, err
	}
	there, err := c.Exists(ctx)
	if err == nil && !there {
		err = fault.New(fault.NotInstalled, "see which there are with `k3d cluster list`, or make it with `ssg-bootstrap dev up`", "there is no cluster %s", o.name)
	}
	return c, err
}

// input is the application as it is for development: the configuration's
// values and secrets are those of boxes and stay out of it.
func (o devOptions) input(a *app) (release.Input, error) {
	if err := checkTag(o.imageTag); err != nil {
		return release.Input{}, err
	}
	local, err := localValues()
	if err != nil {
		return release.Input{}, err
	}
	p := profiles.Profile{Name: "local"}
	p.Chart.Values = local
	return a.releaseInput(o.state(), spec.Release{ImageTag: o.imageTag, Values: o.values}, p)
}

func localValues() (map[string]any, error) {
	text, err := fs.ReadFile(chart.FS(), "presets/local.yaml")
	if err != nil {
		return nil, fmt.Errorf("read the local values: %w", err)
	}
	var v map[string]any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("read the local values: %w", err)
	}
	return v, nil
}

func devUpRun(ctx context.Context, a *app, o devOptions) error {
	a.about(o.state())
	in, err := o.input(a)
	if err != nil {
		return err
	}
	refs, err := in.Want.Images("")
	if err != nil {
		return err
	}
	note, end := a.task("dev-cluster", "cluster k3d-"+o.name)
	c, err := o.cluster(ctx, note)
	if err == nil {
		_, err = c.Up(ctx)
	}
	end(err)
	if err != nil {
		return err
	}
	if err := a.loadImages(ctx, c, refs); err != nil {
		return err
	}
	api, err := cluster.Context(c.Context(), in.Want.Namespace, a.kubeconfigFiles())
	if err != nil {
		return err
	}
	return a.deployOn(ctx, c.Context(), in, api, func(w io.Writer) {
		fmt.Fprintf(w, "\n  http://studentsystemgo.localhost:%d/healthz\n  kubectl --context %s -n %s get pods\n", o.port, c.Context(), in.Want.Namespace)
	})
}

func (a *app) loadImages(ctx context.Context, c dev.Cluster, refs []string) error {
	note, end := a.task("dev-images", "images of "+c.Context())
	c.Note = note
	err := c.Load(ctx, refs)
	end(err)
	return err
}

// DevData is what was done with a development cluster, as programs get it.
type DevData struct {
	Context string   `json:"context"`
	Images  []string `json:"images,omitempty"`
	Removed bool     `json:"removed,omitempty"`
}

func devLoadRun(ctx context.Context, a *app, o devOptions, refs []string) error {
	a.about(o.state())
	if len(refs) == 0 {
		in, err := o.input(a)
		if err != nil {
			return err
		}
		if refs, err = in.Want.Images(""); err != nil {
			return err
		}
	}
	c, err := o.existing(ctx, nil)
	if err != nil {
		return err
	}
	if err := a.loadImages(ctx, c, refs); err != nil {
		return err
	}
	a.answer(DevData{Context: c.Context(), Images: refs}, func(w io.Writer) {
		fmt.Fprintf(w, "In %s now:\n", c.Context())
		for _, r := range refs {
			fmt.Fprintf(w, "  %s\n", r)
		}
	})
	return nil
}

func devDownRun(ctx context.Context, a *app, o devOptions) error {
	a.about(o.state())
	c, err := o.existing(ctx, nil)
	if err != nil {
		return err
	}
	a.tell("This removes the cluster of the context " + c.Context() + " on this computer with everything in it. No box is touched.")
	if err := o.confirmed(ctx, newPrompter(a), c.Context()); err != nil {
		return err
	}
	note, end := a.task("dev-down", "remove "+c.Context())
	c.Note = note
	err = c.Down(ctx)
	end(err)
	if err != nil {
		return err
	}
	a.answer(DevData{Context: c.Context(), Removed: true}, func(w io.Writer) {
		fmt.Fprintf(w, "%s is gone. `ssg-bootstrap dev up` makes a new one.\n", c.Context())
	})
	return nil
}

func (o devOptions) confirmed(ctx context.Context, p *prompter, name string) error {
	typed := o.confirm
	if typed == "" {
		var err error
		typed, err = p.Ask(ctx, "Type the context's name to remove all of this", "", "add --confirm "+name+"; the data is lost")
		if err != nil {
			return err
		}
	}
	if typed != name {
		return fault.New(fault.Usage, "type the name "+name+", or keep the cluster", "%q is not the context's name; nothing was removed", typed)
	}
	return nil
}
