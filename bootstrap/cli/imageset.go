package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// newImages fills in what the box and the configuration say; the facts must be
// known.
func (s *session) newImages(o images.Options) (*images.Set, error) {
	o.Mirrors = s.cfg.Mirrors.Registries
	o.CacheDir = filepath.Join(s.a.cacheDir(), "images")
	o.CPULevel = s.facts.CPU.Level
	set, err := images.New(o)
	if err != nil {
		return nil, fmt.Errorf("choose images: %w", err)
	}
	return set, nil
}

// prepareImages fetches what the box lacks and looks into it, and shows how
// far it is. What would not run on the box is refused here, before anything is
// changed.
func (s *session) prepareImages(ctx context.Context, set *images.Set) error {
	const id, title = "images-fetch", "fetch and examine images"
	_, end := s.a.task(id, title)
	p := &fetchProgress{a: s.a, id: id, title: title}
	err := set.Prepare(ctx, host.ReadOnly(s.client), p.see)
	end(err)
	return err
}

// fetchProgress passes on what a download tells, a few times a second.
type fetchProgress struct {
	a     *app
	id    step.ID
	title string

	mu    sync.Mutex
	last  time.Time
	image string
}

const fetchBeat = 250 * time.Millisecond

func (p *fetchProgress) see(image string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.a.env.Now()
	see := p.a.report().Event
	if image != p.image {
		p.image = image
		see(step.Event{Time: now, Kind: step.StepNote, Step: p.id, Title: p.title, Text: image})
	}
	if done < total && now.Sub(p.last) < fetchBeat {
		return
	}
	p.last = now
	see(step.Event{Time: now, Kind: step.StepProgress, Step: p.id, Title: p.title, Done: done, Total: total})
}
