package cli

import (
	"context"
	"errors"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
)

// benchLeft finds what a run of bench left on the box. An API that does not
// answer says nothing.
func (s *session) benchLeft(ctx context.Context) (*bench.Leftover, error) {
	left, err := bench.LeftOn(ctx, host.ReadOnly(s.client))
	if errors.Is(err, k3s.ErrNoAnswer) {
		return nil, nil
	}
	return left, err
}

const benchCheck = "bench"

// tidyBench removes what a run of bench left that broke off, and says so. One
// that is still at work holds the box's lock and is left alone.
func (s *session) tidyBench(ctx context.Context) ([]facts.Finding, error) {
	if !s.facts.K3s.Active {
		return nil, nil
	}
	left, err := bench.LeftOn(ctx, host.ReadOnly(s.client))
	switch {
	case errors.Is(err, k3s.ErrNoAnswer):
		return nil, nil
	case err != nil || left == nil && s.facts.Bench == "":
		return nil, err
	}
	gone := left == nil
	if gone {
		left = &bench.Leftover{Holder: s.facts.Bench}
	}
	unlock, err := s.client.Lock(ctx, s.a.holder())
	if fault.CodeOf(err) == fault.Locked {
		return []facts.Finding{{Grade: facts.Note, Check: benchCheck, Text: "boots are being measured by " + left.Holder}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.removeBench(ctx, gone); err != nil {
		return []facts.Finding{{
			Grade: facts.Warn, Check: benchCheck, Text: "what " + left.Holder + "'s bench left could not be removed: " + err.Error(),
			Remedy: "`ssg-bootstrap bench --clean --host " + s.name + "`",
		}}, nil
	}
	return []facts.Finding{{Grade: facts.Note, Check: benchCheck, Text: "what " + left.Holder + "'s bench had left was removed"}}, nil
}

// removeBench needs the box's lock. Where the namespace is gone, only the box
// itself has something left.
func (s *session) removeBench(ctx context.Context, gone bool) error {
	if gone {
		return errors.Join(bench.StopObserver(ctx, s.client), bench.Unmark(ctx, s.client))
	}
	c, err := release.OnBox(ctx, s.client, release.DefaultNamespace)
	if err != nil {
		return err
	}
	return s.cleanBench(ctx, c)
}

// tidyBenchFirst does so before the box is compared with what it should be: a
// run that was killed may have stopped the release, and takes its memory. The
// facts tell whether there is anything, so that others pay nothing for it.
func (s *session) tidyBenchFirst(ctx context.Context) error {
	if s.facts.Bench == "" {
		return nil
	}
	found, err := s.tidyBench(ctx)
	for _, f := range found {
		s.a.news(f.Text)
	}
	return err
}

// tellBench says, where nothing may be changed, that a run of bench is or was
// at work.
func (s *session) tellBench() {
	if s.facts.Bench != "" {
		s.a.news("bench measures boots on " + s.name + ", or broke off and left its scratch namespace: " + s.facts.Bench +
			"; install, deploy, bench and doctor remove what is left")
	}
}
