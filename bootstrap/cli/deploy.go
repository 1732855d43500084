package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

type deployOptions struct {
	hostFlags
	profile  string
	imageTag string
	context  string
}

func newCmdDeploy(a *app) *cobra.Command {
	var o deployOptions
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Bring the application's images and release, and nothing else",
		Long: `Bring the application's images and release onto a box that has a cluster, and
nothing else: what install does at its end, in seconds. A release that does not
come up is put back to what served before. With --context it goes to any cluster
of your kubeconfig, which fetches the images itself.`,
		Example: "  ssg-bootstrap deploy --host oldpc --image-tag sha-1a2b3c4\n  ssg-bootstrap deploy --context k3d-dev",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return deployRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	cmd.Flags().StringVar(&o.profile, "profile", "", "a built-in `profile`, the path of one, or auto (default: the configuration's, else auto)")
	cmd.Flags().StringVar(&o.imageTag, "image-tag", "", "the application's image `tag` (default: the configuration's, else the values', else the one that is deployed)")
	cmd.Flags().StringVar(&o.context, "context", "", "a `context` of your kubeconfig instead of a box")
	complete(cmd, "profile", profileNames)
	complete(cmd, "context", a.contexts)
	return cmd
}

func deployRun(ctx context.Context, a *app, o deployOptions) error {
	if err := checkTag(o.imageTag); err != nil {
		return err
	}
	want := specFlags{profile: o.profile, imageTag: o.imageTag}
	if err := want.check(); err != nil {
		return err
	}
	if o.context != "" {
		if err := o.onlyContext(); err != nil {
			return err
		}
		return deployToContext(ctx, a, o)
	}
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.look(ctx, want); err != nil {
		return err
	}
	if !s.spec.Release.On() {
		return noRelease(s.name)
	}
	// The steps of k3s, which these need, are taken as given.
	if s.steps, err = step.Select(s.steps, []step.ID{images.ID, release.SecretsID, release.ReleaseID}, nil); err != nil {
		return err
	}
	if !s.facts.K3s.Active {
		return fault.New(fault.NotInstalled, "", "k3s does not run on %s", s.name)
	}
	return s.change(ctx, func(p measuredPlan) error {
		a.tell(p.summary())
		if err := s.fetchImages(ctx, p); err != nil {
			return err
		}
		return s.converge(ctx, p, installOptions{})
	})
}

// DeployData is what a deployment to a context did, as programs get it.
type DeployData struct {
	Context string `json:"context"`
	release.Outcome
}

// deployToContext has no box to ask and no link to spare: the cluster fetches
// its images itself.
func deployToContext(ctx context.Context, a *app, o deployOptions) error {
	in, c, err := a.contextRelease(o.context, o.profile, o.imageTag)
	if err != nil {
		return err
	}
	return a.deployOn(ctx, o.context, in, c, nil)
}

// deployOn brings the release to a cluster and answers with what it did; more
// is said to people after that, if there is more to say.
func (a *app) deployOn(ctx context.Context, name string, in release.Input, c *cluster.Cluster, more func(io.Writer)) error {
	note, end := a.task(release.SecretsID, "secrets of "+name)
	keeper := release.Keeper{Want: in.Want, Store: in.Store, File: in.SecretsFile, Now: in.Now, Note: note}
	book, err := keeper.Sync(ctx, c)
	end(err)
	if err != nil {
		return err
	}
	note, end = a.task(release.ReleaseID, "release on "+name)
	out, err := release.Deployer{
		Cluster: c, Want: in.Want, Note: note, Now: in.Now,
		Smoke: release.Smoke{Cluster: c, Name: in.Want.Name, Book: book, Note: note}.Run,
	}.Deploy(ctx, book)
	end(err)
	data := DeployData{Context: name, Outcome: out}
	if err != nil {
		a.data = data
		return err
	}
	a.answer(data, func(w io.Writer) {
		if out.Changed {
			fmt.Fprintf(w, "Revision %d serves on %s.\n", out.Revision, name)
		} else {
			fmt.Fprintf(w, "No changes: revision %d on %s is as it should be.\n", out.Revision, name)
		}
		if more != nil {
			more(w)
		}
	})
	return nil
}

// contextRelease is the release on the cluster of a kubeconfig's context. No
// hardware is known of it, so a profile counts only when it is named.
func (a *app) contextRelease(name, profile, tag string) (release.Input, *cluster.Cluster, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return release.Input{}, nil, err
	}
	r := cfg.ReleaseOf("")
	if tag != "" {
		r.ImageTag = tag
	}
	p := profiles.Profile{Name: "none"}
	if profile != "" {
		if p, err = profiles.Load(profile); err != nil {
			return release.Input{}, nil, err
		}
	}
	a.about("context-" + name)
	in, err := a.releaseInput("context-"+name, r, p)
	if err != nil {
		return in, nil, err
	}
	c, err := cluster.Context(name, in.Want.Namespace, a.kubeconfigFiles())
	return in, c, err
}

// kubeconfigFiles are the files in which kubectl would look.
func (a *app) kubeconfigFiles() []string {
	files := filepath.SplitList(a.env.Getenv("KUBECONFIG"))
	files = slices.DeleteFunc(files, func(f string) bool { return f == "" })
	if len(files) == 0 {
		files = []string{filepath.Join(a.env.Home, ".kube", "config")}
	}
	return files
}
