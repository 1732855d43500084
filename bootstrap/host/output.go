package host

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// maxKept bounds what is kept of a command's error output.
const maxKept = 1 << 20

// detachable passes a script's output on until it is detached, so that a
// command that is given up on cannot write into its caller's memory afterwards.
// What comes before the script's first line (start) is the login shell's: a
// .bashrc that greets is not part of any answer.
type detachable struct {
	start []byte

	mu     sync.Mutex
	w      io.Writer
	before []byte
}

func (d *detachable) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(p)
	if d.start != nil {
		d.before = append(d.before, p...)
		_, rest, ok := bytes.Cut(d.before, d.start)
		if !ok {
			d.before = d.before[max(0, len(d.before)-len(d.start)):]
			return n, nil
		}
		d.start, d.before, p = nil, nil, rest
	}
	if d.w == nil || len(p) == 0 {
		return n, nil
	}
	if _, err := d.w.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

func (d *detachable) detach() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.w = nil
}

// talk reads a script's error output. What comes before the script's first
// line is sudo's talk: questions for the password are announced on asked.
// What comes after it belongs to the command.
type talk struct {
	start, prompt string

	mu      sync.Mutex
	before  bytes.Buffer
	after   bytes.Buffer
	seen    int
	pid     string
	started chan struct{}
	asked   chan struct{}
}

func newTalk(start, prompt string) *talk {
	return &talk{start: start, prompt: prompt, started: make(chan struct{}), asked: make(chan struct{}, tries+1)}
}

func (t *talk) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pid != "" {
		t.keep(p)
		return len(p), nil
	}
	t.before.Write(p)
	text := t.before.String()
	for t.prompt != "" && t.seen < strings.Count(text, t.prompt) {
		t.seen++
		select {
		case t.asked <- struct{}{}:
		default:
		}
	}
	head, rest, ok := strings.Cut(text, t.start+" ")
	pid, rest, whole := strings.Cut(rest, "\n")
	if !ok || !whole {
		return len(p), nil
	}
	t.pid = pid
	t.before.Reset()
	t.before.WriteString(head)
	t.keep([]byte(rest))
	close(t.started)
	return len(p), nil
}

func (t *talk) keep(p []byte) {
	if room := maxKept - t.after.Len(); len(p) > room {
		p = p[:max(room, 0)]
	}
	t.after.Write(p)
}

// began tells whether the script ran, and under which process ID.
func (t *talk) began() (pid string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pid, t.pid != ""
}

// sudoSaid is what came before the script, without the prompts.
func (t *talk) sudoSaid() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := t.before.String()
	if t.prompt != "" {
		said = strings.ReplaceAll(said, t.prompt, "")
	}
	return strings.TrimSpace(said)
}

// said is the command's own error output.
func (t *talk) said() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.after.Bytes())
}

// frame is the output of one query of a batch.
type frame struct {
	out    []byte
	err    []byte
	status int
}

// splitFrames takes the outputs of a batch of n queries apart. After each
// query the script wrote a line of mark, number and status to its output and
// one of mark and number to its error output, each after a line break of its
// own, so that an output without one at its end stays whole.
func splitFrames(mark string, n int, stdout, stderr []byte) ([]frame, error) {
	frames := make([]frame, n)
	for i := range frames {
		out, line, rest, ok := cutMark(stdout, mark)
		if !ok {
			return frames[:i], fmt.Errorf("the answers end after %d of %d queries", i, n)
		}
		var number, status int
		if _, err := fmt.Sscanf(line, "%d %d", &number, &status); err != nil || number != i {
			return frames[:i], fmt.Errorf("answer %d has the strange end %q", i, line)
		}
		frames[i] = frame{out: out, status: status}
		stdout = rest
	}
	for i := range frames {
		text, line, rest, ok := cutMark(stderr, mark)
		if !ok || line != fmt.Sprint(i) {
			// Error output is cut off when there is too much of it.
			frames[i].err = stderr
			break
		}
		frames[i].err = text
		stderr = rest
	}
	return frames, nil
}

func cutMark(b []byte, mark string) (before []byte, line string, rest []byte, ok bool) {
	before, after, ok := bytes.Cut(b, []byte("\n"+mark+" "))
	if !ok {
		return nil, "", nil, false
	}
	text, rest, ok := bytes.Cut(after, []byte("\n"))
	return before, string(text), rest, ok
}
