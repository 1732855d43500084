package k3s

import (
	"context"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// agentConfiguration is what an agent reads at its start, its token with it.
type agentConfiguration struct {
	loaded loaded
	server Server
}

func (c agentConfiguration) ID() step.ID      { return ConfigID }
func (c agentConfiguration) Title() string    { return "k3s configuration" }
func (c agentConfiguration) Needs() []step.ID { return nil }
func (c agentConfiguration) Lane() step.Lane  { return step.LaneBox }

func (c agentConfiguration) Observe(ctx context.Context, r host.Reader) (configState, error) {
	files, err := c.files(ctx)
	if err != nil {
		return configState{}, err
	}
	o, err := managed.Observe(ctx, r, managed.Look{Files: files})
	return configState{files: o.Files, want: files}, err
}

func (c agentConfiguration) files(ctx context.Context) ([]managed.File, error) {
	token, err := c.server.agentToken(ctx)
	if err != nil {
		return nil, err
	}
	files, err := agentKind.configFiles(c.loaded)
	return append(files, managed.File{
		Path: tokenPath, Mode: 0o600, Content: []byte(token.Reveal() + "\n"), Ours: true,
		Redact: func([]byte) []byte { return []byte("[secret]\n") },
	}), err
}

func (c agentConfiguration) Diff(s configState) ([]step.Change, error) {
	return managed.Diff(s.want, s.files), nil
}

func (c agentConfiguration) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	files, err := c.files(ctx)
	if err != nil {
		return err
	}
	if err := forgetDigest(ctx, r.Host); err != nil {
		return err
	}
	return managed.Apply(ctx, r.Host, files, changes)
}
