package images

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Prepare finds out what the references mean, asks the box what it has, and
// fetches and examines what it lacks; see, which may be nil, is told how far
// that is. Planning does the same, silently: a run that calls Prepare first
// shows what takes its time, and is refused before it changes anything. A box
// whose k3s does not run yet lacks everything.
func (s *Set) Prepare(ctx context.Context, r host.Reader, see Progress) error {
	_, _, err := s.observe(ctx, r, see)
	return err
}

// observe is what Prepare and the step's plan share.
func (s *Set) observe(ctx context.Context, r host.Reader, see Progress) ([]*image, box, error) {
	// The box is asked first: where many steps plan at once, their questions
	// share a round trip, which none of them should keep waiting.
	b, err := look(ctx, r, s.Names())
	if err != nil {
		return nil, b, err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, b, context.Cause(ctx)
	}
	all, err := s.resolve(ctx)
	if err != nil {
		return nil, b, err
	}
	var refused refusal
	var errs []error
	for _, img := range all {
		if b.lacks(img) == "" || s.checked[img] {
			continue
		}
		n, err := s.examine(ctx, img, see)
		switch {
		case ctx.Err() != nil:
			return nil, b, context.Cause(ctx)
		case err != nil:
			errs = append(errs, err)
		case n.level > s.level:
			refused.add(img, n)
		default:
			s.checked[img] = true
		}
	}
	return all, b, errors.Join(append(errs, refused.err(s.level))...)
}

// examine finds the processor level that an image needs.
func (s *Set) examine(ctx context.Context, img *image, see Progress) (need, error) {
	var total, done int64
	for _, l := range img.layers {
		total += l.Size
	}
	took := func(n int) {
		done += int64(n)
		if see != nil {
			see(img.ref.name, done, total)
		}
	}
	var layers []contents
	for _, l := range img.layers {
		c, err := s.contents(ctx, img.ref, l, took)
		if err != nil {
			return need{}, err
		}
		layers = append(layers, c)
	}
	return needed(layers), nil
}

// unpacked is how much room the layers take that the box lacks.
func (s *Set) unpacked(lacking []v1.Descriptor) (int64, error) {
	var n int64
	for _, l := range lacking {
		c, ok := s.store.findings(l.Digest)
		if !ok {
			return 0, fmt.Errorf("layer %s was not scanned", short(l.Digest.Hex))
		}
		n += c.Size
	}
	return n, nil
}
