package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// deploysFirst reports whether a plan brings the application to a box that has
// none.
func deploysFirst(p step.Plan) bool {
	planned, ok := p.Of(release.ReleaseID)
	return ok && (planned.Deferred || slices.ContainsFunc(planned.Changes, func(c step.Change) bool { return c.Verb == step.Create }))
}

// recordDeployment keeps how the first deployment came up, so that the first
// bench has something to stand beside. It is no part of what was asked for:
// that it fails is only noted.
func (s *session) recordDeployment(ctx context.Context, begin time.Time) {
	err := s.keepDeployment(ctx, begin)
	if err != nil && !errors.Is(err, bench.ErrOlder) {
		s.a.logger().Warn("the deployment's timeline was not kept", "error", err)
	}
}

func (s *session) keepDeployment(ctx context.Context, begin time.Time) error {
	// A fresh box has had other facts when the run began.
	f, err := facts.Gather(ctx, s.client)
	if err != nil {
		return err
	}
	in, err := s.a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
	if err != nil {
		return err
	}
	c, err := release.OnBox(ctx, s.client, in.Want.Namespace)
	if err != nil {
		return err
	}
	r := bench.NewResult(bench.KindInstall, s.name, begin, f)
	row, timeline, err := bench.Deployed(ctx, c, in.Want.Name, begin.Add(f.Clock.Skew-f.Clock.Uncertainty))
	if err != nil {
		return err
	}
	r.Rows, r.Timeline = []bench.Row{row}, timeline
	r.Versions = bench.Versions{Tool: toolVersion(), Profile: s.spec.Profile.Name}
	if r.Versions.K3s, r.Versions.Runtime, err = bench.NodeVersions(ctx, c); err != nil {
		return err
	}
	if r.Versions.Images, err = bench.ImagesOf(ctx, c, in.Want.Name); err != nil {
		return err
	}
	r.Took = s.a.env.Now().Sub(begin).Seconds()
	r.Document(s.spec.Profile.Documented, nil)
	_, err = s.a.benchStore(s.name).Save(r)
	return err
}
