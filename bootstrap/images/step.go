package images

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// ID is the step's name.
const ID step.ID = "images"

// Step brings the images after the steps that it needs.
func (s *Set) Step(needs ...step.ID) step.Step { return step.Of(resource{s, needs}) }

type resource struct {
	set   *Set
	needs []step.ID
}

type observed struct {
	images []*image
	box    box
}

func (r resource) ID() step.ID      { return ID }
func (r resource) Title() string    { return "Container images" }
func (r resource) Needs() []step.ID { return r.needs }
func (r resource) Lane() step.Lane  { return step.LaneLink }

func (r resource) Observe(ctx context.Context, reader host.Reader) (observed, error) {
	all, b, err := r.set.observe(ctx, reader, fetching{})
	if err == nil && !b.up {
		err = step.ErrDeferred
	}
	return observed{all, b}, err
}

// Diff counts a layer that two images share for the first of them.
func (r resource) Diff(o observed) ([]step.Change, error) {
	var out []step.Change
	b := o.box
	b.blobs = maps.Clone(b.blobs)
	for _, img := range o.images {
		why := b.lacks(img)
		switch {
		case why != "":
			layers := b.lacking(img)
			size, err := parcelSize(img, layers)
			if err != nil {
				return nil, err
			}
			out = append(out, step.Change{Verb: step.Send, Object: img.ref.name, Why: why, Bytes: size})
			for _, l := range layers {
				b.blobs[l.Digest.String()] = true
			}
		case !b.pinned(img):
			out = append(out, step.Change{Verb: step.Update, Object: img.ref.name, Why: "the kubelet might remove it when the disk fills"})
		}
	}
	for _, name := range r.set.retired(o.images, b) {
		out = append(out, step.Change{Verb: step.Update, Object: name, Why: "no longer wanted, the kubelet may remove it when the disk fills"})
	}
	for _, name := range leftovers(o) {
		out = append(out, step.Change{Verb: step.Remove, Object: path.Join(parcelDir, name), Why: "left by a run that broke off"})
	}
	return out, nil
}

// retired are images that are kept though the set has others of their
// repositories.
func (s *Set) retired(all []*image, b box) []string {
	if !s.retire {
		return nil
	}
	wanted := names(all)
	var repositories []string
	for _, name := range wanted {
		repositories = append(repositories, repository(name))
	}
	return slices.DeleteFunc(slices.Clone(b.pins), func(name string) bool {
		return slices.Contains(wanted, name) || !slices.Contains(repositories, repository(name))
	})
}

// leftovers are parcels of images that are no longer to be imported.
func leftovers(o observed) []string {
	return slices.DeleteFunc(slices.Clone(o.box.parcels), func(name string) bool {
		return slices.ContainsFunc(o.images, func(i *image) bool { return o.box.lacks(i) != "" && strings.HasPrefix(name, i.prefix()) })
	})
}

func (r resource) Apply(ctx context.Context, run step.Run, changes []step.Change) error {
	d := delivery{set: r.set, run: run}
	for _, c := range changes {
		d.total += c.Bytes
	}
	return d.all(ctx)
}
