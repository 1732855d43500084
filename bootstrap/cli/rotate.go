package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

type rotateOptions struct {
	hostFlags
	profile string
	context string
	what    string
}

// rotateID is the rotation's name among the events.
const rotateID step.ID = "rotate"

func newCmdRotate(a *app) *cobra.Command {
	var o rotateOptions
	cmd := &cobra.Command{
		Use:   "rotate " + strings.Join(release.Rotations(), "|"),
		Short: "Make a new secret take the place of one in use",
		Long: `Make a new secret take the place of one in use, without losing the application:
the services take both until every pod has read the new one, then the old one is
refused. What broke off is continued by the same command.

  mysql        the passwords of root and of the application's database user
  replication  the password with which the replica follows the primary
  rabbitmq     the broker's user and its password
  jwt          the key that signs logins; everybody has to log in again`,
		Example:   "  ssg-bootstrap rotate mysql --host oldpc\n  ssg-bootstrap rotate jwt --context k3d-dev",
		Args:      cobra.ExactArgs(1),
		ValidArgs: release.Rotations(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.what = args[0]
			return rotateRun(cmd.Context(), a, o)
		},
	}
	o.hostFlags.add(a, cmd)
	cmd.Flags().StringVar(&o.profile, "profile", "", "the `profile` with which it was deployed (default: the configuration's, else auto)")
	cmd.Flags().StringVar(&o.context, "context", "", "a `context` of your kubeconfig instead of a box")
	complete(cmd, "profile", profileNames)
	complete(cmd, "context", a.contexts)
	return cmd
}

// RotateData is what a rotation did, as programs get it.
type RotateData struct {
	Host    string `json:"host"`
	Rotated string `json:"rotated"`
	Kept    string `json:"kept"`
}

func rotateRun(ctx context.Context, a *app, o rotateOptions) error {
	if !slices.Contains(release.Rotations(), o.what) {
		return fault.New(fault.Usage, "name one of "+strings.Join(release.Rotations(), ", "), "%q cannot be rotated", o.what)
	}
	if o.context != "" {
		if err := o.onlyContext(); err != nil {
			return err
		}
		in, c, err := a.contextRelease(o.context, o.profile, "")
		if err != nil {
			return err
		}
		return a.rotate(ctx, o.context, o.what, in, c, nil)
	}
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.examine(ctx, specFlags{profile: o.profile}); err != nil {
		return err
	}
	if !s.spec.Release.On() {
		return noRelease(s.name)
	}
	in, err := a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
	if err != nil {
		return err
	}
	unlock, err := s.client.Lock(ctx, a.holder())
	if err != nil {
		return err
	}
	defer unlock()
	c, err := release.OnBox(ctx, s.client, in.Want.Namespace)
	if err != nil {
		return err
	}
	return a.rotate(ctx, s.name, o.what, in, c, s.client.Dial)
}

func (a *app) rotate(ctx context.Context, name, what string, in release.Input, c *cluster.Cluster, reach cluster.Dial) error {
	note, end := a.task(rotateID, "rotate "+what)
	err := release.Rotate(ctx, release.RotateInput{Input: in, Cluster: c, Reach: reach, What: what, Note: note})
	end(err)
	if err != nil {
		return err
	}
	data := RotateData{Host: name, Rotated: what, Kept: in.Store.Path()}
	a.answer(data, func(w io.Writer) {
		fmt.Fprintf(w, "The new secret of %s is in force on %s, the old one is refused. It is kept in %s, encrypted.\n", what, name, data.Kept)
	})
	return nil
}
