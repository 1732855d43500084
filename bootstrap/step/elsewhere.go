package step

import (
	"context"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Elsewhere returns steps of another box than the one that the plan is for, so
// that one plan holds what changes on both and says on which. Their IDs begin
// with role, their titles end with the box's name, and what they need beyond each
// other is taken for given.
func Elsewhere(box Box, name, role string, steps []Step) []Step {
	group := map[ID]bool{}
	for _, s := range steps {
		group[s.ID()] = true
	}
	out := make([]Step, len(steps))
	for i, s := range steps {
		out[i] = elsewhere{Step: s, box: box, name: name, role: role, group: group}
	}
	return out
}

type elsewhere struct {
	Step
	box        Box
	name, role string
	group      map[ID]bool
}

func (e elsewhere) id(of ID) ID   { return ID(e.role+"-") + of }
func (e elsewhere) ID() ID        { return e.id(e.Step.ID()) }
func (e elsewhere) Title() string { return e.Step.Title() + " on " + e.name }

func (e elsewhere) Needs() []ID {
	var out []ID
	for _, need := range e.Step.Needs() {
		if e.group[need] {
			out = append(out, e.id(need))
		}
	}
	return out
}

// Plan asks the other box, whichever the reader is of.
func (e elsewhere) Plan(ctx context.Context, _ host.Reader) ([]Change, error) {
	changes, err := e.Step.Plan(ctx, host.ReadOnly(e.box))
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].Object = e.prefix() + changes[i].Object
	}
	return changes, err
}

func (e elsewhere) Apply(ctx context.Context, run Run, changes []Change) error {
	run.Host = e.box
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].Object = strings.TrimPrefix(changes[i].Object, e.prefix())
	}
	return e.Step.Apply(ctx, run, changes)
}

func (e elsewhere) prefix() string { return e.name + ": " }
