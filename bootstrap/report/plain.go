package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

const (
	// progressEvery and heartbeatEvery keep a log of an hour-long run short
	// and still show that it lives.
	progressEvery  = 10 * time.Second
	heartbeatEvery = 30 * time.Second
)

// plain writes one line per happening.
type plain struct {
	w   io.Writer
	now func() time.Time
	// asking lets one question through at a time.
	asking sync.Mutex

	mu    sync.Mutex
	board *board
	said  map[step.ID]said
	stop  chan struct{}
	once  sync.Once
	held  bool
	queue []string
}

// said is what was last told of a task.
type said struct {
	at      time.Time
	percent int64
}

func newPlain(o Options) *plain {
	p := &plain{w: o.Err, now: o.Now, board: newBoard(), said: map[step.ID]said{}, stop: make(chan struct{})}
	go p.tick()
	return p
}

func (p *plain) tick() {
	t := time.NewTicker(heartbeatEvery / 6)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.heartbeat()
		}
	}
}

// heartbeat says what is still at work and has not been heard of for a while:
// in a line of its own what was last seen of it, in one line all the others.
func (p *plain) heartbeat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	var silent []string
	for _, t := range p.board.running {
		if now.Sub(p.said[t.id].at) < heartbeatEvery {
			continue
		}
		so := Duration(now.Sub(t.started).Truncate(time.Second))
		if last := t.last; last > 0 {
			so += ", last time " + Duration(last)
		}
		if t.note == "" {
			silent = append(silent, t.title+" ("+so+")")
			p.told(t, now)
			continue
		}
		p.say(t, now, "still at work, "+so+", last seen: "+t.note)
	}
	if len(silent) > 0 {
		p.line("still at work: " + strings.Join(silent, ", "))
	}
}

func (p *plain) Event(e step.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.board.hear(e) {
		p.line(e.Text)
	}
	t := p.board.apply(e)
	if t == nil {
		return
	}
	switch e.Kind {
	case step.StepStarted:
		// Said with its end, or by the heartbeat: most steps are over before
		// a listener could read that they began.
		p.said[t.id] = said{at: e.Time}
	case step.StepNote:
		p.say(t, e.Time, e.Text)
	case step.StepRetry:
		p.say(t, e.Time, e.Text)
	case step.StepProgress:
		p.progress(t, e)
	case step.StepDone:
		p.say(t, e.Time, "done in "+Duration(e.Took)+moved(t))
	case step.StepUnchanged:
		p.say(t, e.Time, "unchanged")
	case step.StepFailed:
		p.say(t, e.Time, "failed after "+Duration(e.Took))
	}
}

func (p *plain) progress(t *task, e step.Event) {
	now, last := percent(e.Done, e.Total), p.said[t.id]
	if e.Time.Sub(last.at) < progressEvery && now < last.percent+10 {
		return
	}
	if now == last.percent && e.Time.Sub(last.at) < heartbeatEvery {
		return
	}
	text := fmt.Sprintf("%d %%, %s of %s", now, Bytes(e.Done), Bytes(e.Total))
	if r := t.rate(e.Time); r > 0 {
		text += ", " + Rate(r)
		if left, ok := p.board.left(t, e.Time); ok {
			text += ", " + About(left) + " left"
		}
	}
	p.say(t, e.Time, text)
	p.said[t.id] = said{e.Time, now}
}

func (p *plain) say(t *task, at time.Time, text string) {
	p.told(t, at)
	p.line(t.title + ": " + text)
}

func (p *plain) told(t *task, at time.Time) {
	s := p.said[t.id]
	s.at = at
	p.said[t.id] = s
}

func (p *plain) line(text string) {
	text = strings.ReplaceAll(Clean(text), "\n", "; ") + "\n"
	if p.held {
		p.queue = append(p.queue, text)
		return
	}
	_, _ = io.WriteString(p.w, text)
}

// moved says how much a finished transfer was about.
func moved(t *task) string {
	if t.total == 0 {
		return ""
	}
	return ", " + Bytes(t.total)
}

func (p *plain) Expect(steps map[step.ID]Expectation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.board.expect = steps
}

// Hold keeps other lines out of a question; they follow the answer.
func (p *plain) Hold(ask func() error) error {
	p.asking.Lock()
	defer p.asking.Unlock()
	p.hold(true)
	defer p.hold(false)
	return ask()
}

func (p *plain) hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = on
	if !on {
		_, _ = io.WriteString(p.w, strings.Join(p.queue, ""))
		p.queue = nil
	}
}

func (p *plain) Close() { p.once.Do(func() { close(p.stop) }) }
