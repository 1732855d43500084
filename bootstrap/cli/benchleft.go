package cli

import (
	"context"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
)

// benchLeft finds what a run of bench left on the box.
func (s *session) benchLeft(ctx context.Context) (*bench.Leftover, error) {
	return bench.LeftOn(ctx, host.ReadOnly(s.client))
}

const benchCheck = "bench"

// tidyBench removes what a run of bench left that broke off, and says so. One
// that is still at work holds the box's lock and is left alone.
func (s *session) tidyBench(ctx context.Context) ([]facts.Finding, error) {
	if !s.facts.K3s.Active {
		return nil, nil
	}
	left, err := s.benchLeft(ctx)
	if err != nil || left == nil {
		return nil, err
	}
	unlock, err := s.client.Lock(ctx, s.a.holder())
	if fault.CodeOf(err) == fault.Locked {
		return []facts.Finding{{Grade: facts.Note, Check: benchCheck, Text: "boots are being measured by " + left.Holder}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, err := release.OnBox(ctx, s.client, release.DefaultNamespace)
	if err != nil {
		return nil, err
	}
	if err := s.cleanBench(ctx, c); err != nil {
		return []facts.Finding{{
			Grade: facts.Warn, Check: benchCheck, Text: "the scratch namespace of " + left.Holder + " is left and could not be removed: " + err.Error(),
			Remedy: "`ssg-bootstrap bench --clean --host " + s.name + "`",
		}}, nil
	}
	return []facts.Finding{{Grade: facts.Note, Check: benchCheck, Text: "the scratch namespace that " + left.Holder + " had left was removed"}}, nil
}
