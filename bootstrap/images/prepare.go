package images

import (
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Prepare finds out what the references mean, asks the box what it has, and
// fetches and examines what it lacks; see, which may be nil, is told how far
// that is. A run that calls it between planning and applying shows what takes
// its time, and is refused before it changes anything. A box whose k3s does not
// run yet lacks everything.
func (s *Set) Prepare(ctx context.Context, r host.Reader, see Progress) error {
	_, _, err := s.observe(ctx, r, fetching{true, see})
	return err
}

// fetching says whether what is to be examined may be fetched first. A plan
// does not fetch: it refuses what an earlier run looked into, and costs little.
type fetching struct {
	allowed bool
	see     Progress
}

// observe asks the box, resolves the references and refuses what the box's
// processor cannot run.
func (s *Set) observe(ctx context.Context, r host.Reader, f fetching) ([]*image, box, error) {
	// The box is asked first: where many steps plan at once, their questions
	// share a round trip, which none of them should keep waiting.
	refs, b, err := s.glance(ctx, r)
	if err != nil {
		return nil, b, err
	}
	var all []*image
	err = s.alone(ctx, func() error {
		all, err = s.resolve(ctx, refs)
		return err
	})
	if err != nil {
		return nil, b, err
	}
	if b.up && slices.ContainsFunc(all, func(i *image) bool { return b.lacks(i) != "" }) {
		if b, err = look(ctx, r, names(all)); err != nil {
			return nil, b, err
		}
	}
	return all, b, s.alone(ctx, func() error { return s.judge(ctx, all, b, f) })
}

// alone does what only one asker may do at a time.
func (s *Set) alone(ctx context.Context, what func() error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return what()
}

// glance asks the box, in one round trip, which images it keeps, and which it
// is to have if that is for it to say.
func (s *Set) glance(ctx context.Context, r host.Reader) ([]reference, box, error) {
	questions := []host.Command{query(glanceScript)}
	if s.choice != nil {
		questions = append(questions, s.choice.Ask)
	}
	answers, err := r.QueryMany(ctx, questions)
	if err == nil {
		err = answers[0].Err
	}
	if err != nil {
		return nil, box{}, fmt.Errorf("ask the box for its images: %w", err)
	}
	b, err := parseGlance(string(answers[0].Out))
	if err != nil || s.choice == nil {
		return s.refs, b, err
	}
	if answers[1].Err != nil {
		return nil, b, fmt.Errorf("ask the box which images it runs: %w", answers[1].Err)
	}
	texts, err := s.choice.Refs(answers[1].Out)
	if err != nil {
		return nil, b, err
	}
	refs, err := parseReferences(texts)
	return refs, b, err
}

// judge examines the images that the box lacks, and reports all that it cannot
// have at once.
func (s *Set) judge(ctx context.Context, all []*image, b box, f fetching) error {
	var refused refusal
	var errs []error
	for _, img := range all {
		if b.lacks(img) == "" || s.checked[img] || !f.allowed && !s.scanned(img) {
			continue
		}
		n, err := s.examine(ctx, img, f.see)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			errs = append(errs, err)
		case n.level > s.level:
			refused.add(img, n)
		default:
			s.checked[img] = true
		}
	}
	return together(append(errs, refused.err(s.level)))
}

// together joins errors, and leaves one alone as it is.
func together(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// scanned reports whether an earlier run has looked into every layer.
func (s *Set) scanned(img *image) bool {
	return !slices.ContainsFunc(img.layers, func(l v1.Descriptor) bool {
		_, ok := s.store.findings(l.Digest)
		return !ok
	})
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
