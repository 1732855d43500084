package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/pterm/pterm"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

const (
	// frameEvery is slow enough for a client that is itself an old PC.
	frameEvery = 200 * time.Millisecond
	// showAfter keeps what is over at once from flickering past.
	showAfter = 300 * time.Millisecond
	maxWidth  = 100
)

// live redraws what is at work and leaves a line for what is done.
type live struct {
	o Options
	// asking lets one question through at a time.
	asking sync.Mutex

	mu    sync.Mutex
	board *board
	area  *pterm.AreaPrinter
	out   *frame
	tick  int
	held  bool
	over  bool
	queue []string
	drawn bool
	stop  chan struct{}
	once  sync.Once
}

func newLive(o Options) *live {
	l := &live{o: o, board: newBoard(), out: newFrame(o.Err), stop: make(chan struct{})}
	l.area = &pterm.AreaPrinter{}
	l.area.SetWriter(l.out)
	go l.animate()
	return l
}

// frame gathers the many small writes of one redraw into one, so that the
// terminal never shows half of it.
type frame struct {
	bytes.Buffer
	to io.Writer
}

func newFrame(to io.Writer) *frame { return &frame{to: to} }

// Fd lets pterm move the cursor through a frame as through the terminal.
func (f *frame) Fd() uintptr {
	if t, ok := f.to.(interface{ Fd() uintptr }); ok {
		return t.Fd()
	}
	return ^uintptr(0)
}

func (f *frame) flush() {
	_, _ = f.WriteTo(f.to)
	f.Reset()
}

func (l *live) animate() {
	t := time.NewTicker(frameEvery)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.mu.Lock()
			l.tick++
			l.draw()
			l.mu.Unlock()
		}
	}
}

// Event takes in what happened; the next frame shows it.
func (l *live) Event(e step.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.board.hear(e) {
		l.keep("note", pterm.FgYellow, e.Text, 0)
	}
	t := l.board.apply(e)
	if t == nil {
		return
	}
	switch e.Kind {
	case step.StepDone:
		l.keep("done", pterm.FgGreen, t.title+moved(t), e.Took)
	case step.StepUnchanged:
		// A hundred lines of nothing hide the one that matters; the summary
		// counts them.
	case step.StepFailed:
		l.keep("failed", pterm.FgRed, t.title, e.Took)
	case step.StepRetry:
		l.keep("retry", pterm.FgYellow, t.title+": "+e.Text, 0)
	}
}

// keep writes a line that stays.
func (l *live) keep(word string, color pterm.Color, text string, took time.Duration) {
	end := ""
	if took > 0 {
		end = Duration(took)
	}
	room := l.width() - 8 - runewidth.StringWidth(end) - 1
	line := l.paint(color, runewidth.FillRight(word, 8)) + runewidth.FillRight(Truncate(oneLine(text), room), room) + " " + l.paint(pterm.FgGray, end)
	l.queue = append(l.queue, strings.TrimRight(line, " ")+"\n")
	l.draw()
}

func (l *live) paint(c pterm.Color, s string) string {
	if !l.o.Color || s == "" {
		return s
	}
	return c.Sprint(s)
}

func (l *live) width() int {
	// The last column stays free: some terminals wrap as soon as it is used.
	return max(24, min(l.o.Width(), pterm.GetTerminalWidth(), maxWidth)-1)
}

// draw clears the area, prints the lines that stay and draws the area anew.
func (l *live) draw() {
	if l.held || l.over {
		return
	}
	lines := l.lines()
	if !l.drawn && len(l.queue) == 0 && len(lines) == 0 {
		return
	}
	if l.drawn {
		l.area.Update("")
	}
	l.out.WriteString(strings.Join(l.queue, ""))
	l.queue = nil
	l.drawn = len(lines) > 0
	if l.drawn {
		l.area.Update(strings.Join(lines, "\n") + "\n")
	}
	l.out.flush()
}

func (l *live) lines() []string {
	now, width := l.o.Now(), l.width()
	var out []string
	for _, t := range l.board.running {
		if now.Sub(t.started) < showAfter {
			continue
		}
		out = append(out, l.task(t, now, width))
		if t.note != "" {
			out = append(out, l.paint(pterm.FgGray, Truncate("    "+oneLine(t.note), width)))
		}
	}
	if done, all, left := l.board.totals(now); len(out) > 0 && all > 1 {
		text := fmt.Sprintf("  %d of %d steps", done, all)
		if left > 0 {
			text += ", " + About(left) + " left in all"
		}
		out = append(out, Truncate(text, width))
	}
	return out
}

// task is one line: spinner, title, bar, figures.
func (l *live) task(t *task, now time.Time, width int) string {
	spin := pterm.DefaultSpinner.Sequence
	head := spin[l.tick%len(spin)]
	figures := l.figures(t, now)
	room := width - runewidth.StringWidth(head) - 1
	text := runewidth.StringWidth(figures) + 1
	title := Truncate(oneLine(t.title), max(room-text, room/2))
	rest := room - runewidth.StringWidth(title) - text
	switch {
	case t.total > 0 && rest >= 12:
		n := min(rest-2, 24)
		pad := strings.Repeat(" ", rest-n-1)
		return fmt.Sprintf("%s %s%s%s %s", l.paint(pterm.FgCyan, head), title, pad+" ", l.bar(t, n), figures)
	case rest >= 0:
		return fmt.Sprintf("%s %s%s %s", l.paint(pterm.FgCyan, head), title, strings.Repeat(" ", rest), figures)
	}
	return Truncate(head+" "+title+" "+figures, width)
}

func (l *live) figures(t *task, now time.Time) string {
	parts := []string{}
	left, known := l.board.left(t, now)
	if t.total > 0 {
		parts = append(parts, fmt.Sprintf("%d %% of %s", percent(t.done, t.total), Bytes(t.total)))
		if r := t.rate(now); r > 0 && t.done < t.total {
			parts = append(parts, Rate(r))
		}
		if quiet := now.Sub(t.moved); quiet > 5*time.Second && t.done < t.total {
			return strings.Join(append(parts[:1], "nothing moves for "+Duration(quiet)), ", ")
		}
	} else {
		parts = append(parts, Duration(now.Sub(t.started).Truncate(time.Second)))
		if last := t.last; last > 0 {
			// Says more than the time left, which it is made from and which
			// ends where the wait begins to be worth a look.
			return strings.Join(append(parts, "last time "+Duration(last)), ", ")
		}
	}
	if known {
		parts = append(parts, strings.TrimPrefix(About(left), "about ")+" left")
	}
	return strings.Join(parts, ", ")
}

func (l *live) bar(t *task, width int) string {
	full := int(int64(width) * t.done / t.total)
	full = min(max(full, 0), width)
	p := pterm.DefaultProgressbar
	return l.paint(pterm.FgCyan, strings.Repeat(p.BarCharacter, full)) + l.paint(pterm.FgGray, strings.Repeat(p.BarFiller, width-full))
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(Clean(s)), "\n", " ") }

// Expect gives the times left something to be made from.
func (l *live) Expect(steps map[step.ID]Expectation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.board.expect = steps
}

// Hold clears the view while the user is asked something.
func (l *live) Hold(ask func() error) error {
	l.asking.Lock()
	defer l.asking.Unlock()
	l.hold(true)
	defer l.hold(false)
	return ask()
}

func (l *live) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if on {
		l.clear()
	}
	l.held = on
	l.draw()
}

func (l *live) clear() {
	if l.drawn {
		l.area.Update("")
		l.drawn = false
	}
	l.out.WriteString(strings.Join(l.queue, ""))
	l.queue = nil
	l.out.flush()
}

// Close leaves the finished lines and nothing else on the terminal.
func (l *live) Close() {
	l.once.Do(func() {
		close(l.stop)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.over = true
		l.clear()
	})
}
