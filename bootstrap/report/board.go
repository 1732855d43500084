package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// window is how far back the rate of a transfer looks: long enough to be
// steady on a link that stutters, short enough to show a stall.
const window = 10 * time.Second

// breath is how long a transfer may be silent before the silence counts: the
// figure of a steady transfer must not swing with the moment it is drawn at.
const breath = 2 * time.Second

// board is the state of a run as the events tell it; the live and the plain
// view draw it. It is not safe for concurrent use.
type board struct {
	running  []*task
	expect   map[step.ID]Expectation
	finished map[step.ID]bool
	// news is what was last told that belongs to no step, such as the state
	// of the link.
	news   string
	newsAt time.Time
}

// task is one step at work.
type task struct {
	id          step.ID
	title, note string
	started     time.Time
	// last is how long it took last time, 0 if unknown.
	last        time.Duration
	moved       time.Time
	done, total int64
	samples     []sample
}

type sample struct {
	at   time.Time
	done int64
}

func newBoard() *board {
	return &board{expect: map[step.ID]Expectation{}, finished: map[step.ID]bool{}}
}

// apply takes in an event and returns the task it is about, or nil.
func (b *board) apply(e step.Event) *task {
	if e.Step == "" {
		return nil
	}
	t := b.find(e.Step)
	if t == nil {
		t = &task{id: e.Step, title: e.Title, started: e.Time, moved: e.Time, last: cmp.Or(e.Last, b.expect[e.Step].Last)}
		b.running = append(b.running, t)
	}
	switch e.Kind {
	case step.StepNote, step.StepRetry:
		t.note, t.moved = e.Text, e.Time
	case step.StepProgress:
		t.progress(e)
	case step.StepDone, step.StepUnchanged, step.StepFailed:
		b.running = slices.DeleteFunc(b.running, func(o *task) bool { return o == t })
		b.finished[e.Step] = true
	}
	return t
}

// hear takes in news and reports whether it is worth a line: the same news
// with another figure in brackets is so only now and then.
func (b *board) hear(e step.Event) bool {
	if e.Kind != step.StepNote || e.Step != "" {
		return false
	}
	before, _, _ := strings.Cut(b.news, " (")
	now, _, _ := strings.Cut(e.Text, " (")
	b.news = e.Text
	if before == now && e.Time.Sub(b.newsAt) < heartbeatEvery {
		return false
	}
	b.newsAt = e.Time
	return true
}

func (b *board) find(id step.ID) *task {
	for _, t := range b.running {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (t *task) progress(e step.Event) {
	if e.Total != t.total || e.Done < t.done {
		t.samples = nil
	}
	if e.Done != t.done {
		t.moved = e.Time
	}
	t.done, t.total, t.note = e.Done, e.Total, ""
	if n := len(t.samples); n > 0 && e.Time.Sub(t.samples[n-1].at) < 100*time.Millisecond {
		t.samples[n-1].done = e.Done
		return
	}
	t.samples = append(t.samples, sample{e.Time, e.Done})
	for len(t.samples) > 2 && e.Time.Sub(t.samples[1].at) > window {
		t.samples = t.samples[1:]
	}
}

// rate is the speed over the window in bytes a second, 0 while unknown.
func (t *task) rate(now time.Time) float64 {
	if len(t.samples) < 2 {
		return 0
	}
	first, last := t.samples[0], t.samples[len(t.samples)-1]
	span := last.at.Sub(first.at)
	if now.Sub(last.at) > breath {
		span = now.Sub(first.at)
	}
	if span < time.Second {
		return 0
	}
	return float64(last.done-first.done) / span.Seconds()
}

// left estimates how long the task still takes.
func (b *board) left(t *task, now time.Time) (time.Duration, bool) {
	if r := t.rate(now); r > 0 {
		return time.Duration(float64(t.total-t.done) / r * float64(time.Second)), t.done < t.total
	}
	for _, d := range []time.Duration{t.last, b.expect[t.id].Planned} {
		if rest := d - now.Sub(t.started); rest > 0 {
			return rest, true
		}
	}
	return 0, false
}

// totals sums up the expected steps: how many are finished, how many there
// are, and how long the rest takes.
func (b *board) totals(now time.Time) (done, all int, left time.Duration) {
	for id, x := range b.expect {
		all++
		switch t := b.find(id); {
		case b.finished[id]:
			done++
		case t != nil:
			d, _ := b.left(t, now)
			left += d
		case x.Last > 0 && x.Bytes == 0:
			left += x.Last
		default:
			left += x.Planned
		}
	}
	return done, all, left
}
