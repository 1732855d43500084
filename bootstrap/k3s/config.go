package k3s

import (
	"context"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// configuration is what k3s reads at its start.
type configuration struct {
	loaded loaded
	names  Names
}

type configState struct {
	files managed.State
	want  []managed.File
}

func (c configuration) ID() step.ID      { return ConfigID }
func (c configuration) Title() string    { return "k3s configuration" }
func (c configuration) Needs() []step.ID { return after(c.names) }
func (c configuration) Lane() step.Lane  { return step.LaneBox }

// Observe asks for the names in the same round trip in which it looks at the
// files that they go to.
func (c configuration) Observe(ctx context.Context, r host.Reader) (configState, error) {
	files, err := serverKind.configFiles(c.loaded)
	if err != nil {
		return configState{}, err
	}
	s := configState{want: files}
	o, err := managed.Observe(ctx, r, managed.Look{Files: files, Beside: asked(c.names), Settle: func(beside [][]byte) ([]managed.File, error) {
		l, err := c.loaded.called(c.names, beside)
		if err == nil {
			s.want, err = serverKind.configFiles(l)
		}
		return s.want, err
	}})
	s.files = o.Files
	return s, err
}

func (c configuration) Diff(s configState) ([]step.Change, error) {
	return managed.Diff(s.want, s.files), nil
}

func (c configuration) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	s, err := c.Observe(ctx, r.Host)
	if err != nil {
		return err
	}
	if err := forgetDigest(ctx, r.Host); err != nil {
		return err
	}
	return managed.Apply(ctx, r.Host, s.want, changes)
}

// unit is the service as systemd sees it, and the scripts beside it.
type unit struct{ kind kind }

type unitState struct {
	files managed.State
	unit  managed.Unit
}

func (u unit) ID() step.ID      { return UnitID }
func (u unit) Title() string    { return "k3s service" }
func (u unit) Needs() []step.ID { return nil }
func (u unit) Lane() step.Lane  { return step.LaneBox }

func (u unit) Observe(ctx context.Context, r host.Reader) (unitState, error) {
	o, err := managed.Observe(ctx, r, managed.Look{Files: u.kind.unitFiles(), Units: []string{u.kind.unit()}})
	return unitState{o.Files, o.Units[u.kind.unit()]}, err
}

func (u unit) Diff(s unitState) ([]step.Change, error) {
	out := managed.Diff(u.kind.unitFiles(), s.files)
	return append(out, managed.DiffUnit(u.kind.unit(), s.unit, managed.Named(out, u.kind.unitPath()))...), nil
}

func (u unit) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if managed.Touches(changes, u.kind.unitFiles()) {
		if err := forgetDigest(ctx, r.Host); err != nil {
			return err
		}
	}
	if err := managed.Apply(ctx, r.Host, u.kind.unitFiles(), changes); err != nil {
		return err
	}
	return managed.ApplyUnit(ctx, r.Host, u.kind.unit(), changes)
}
