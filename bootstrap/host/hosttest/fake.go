package hosttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Fake is a Host in memory for table tests: it answers the commands that a
// test expects and fails the test on any other.
type Fake struct {
	t testing.TB

	mu      sync.Mutex
	queries map[string]*answer
	runs    map[string]*answer
	files   map[string]host.File
	jobs    []host.Job
	log     []string
}

type answer struct {
	out  string
	err  error
	used bool
}

// NewFake returns a Fake. Expectations that nobody used fail the test at its
// end.
func NewFake(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{t: t, queries: make(map[string]*answer), runs: make(map[string]*answer), files: make(map[string]host.File)}
	t.Cleanup(f.unused)
	return f
}

// Answer expects a query (by its command line, with "sudo " in front for root)
// and gives its output.
func (f *Fake) Answer(command, out string) { f.expect(f.queries, command, answer{out: out}) }

// Refuse expects a query that ends with the given status and error output.
func (f *Fake) Refuse(command string, status int, stderr string) {
	f.expect(f.queries, command, answer{err: &host.CommandError{Command: command, Exit: status, Stderr: stderr}})
}

// Allow expects a command that changes the box.
func (f *Fake) Allow(command, out string) { f.expect(f.runs, command, answer{out: out}) }

// Fail expects a command that changes the box and lets it end with err.
func (f *Fake) Fail(command string, err error) { f.expect(f.runs, command, answer{err: err}) }

func (f *Fake) expect(where map[string]*answer, command string, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	where[command] = &a
}

func (f *Fake) unused() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, expected := range []map[string]*answer{f.queries, f.runs} {
		for command, a := range expected {
			if !a.used {
				f.t.Errorf("expected and never run: %s", command)
			}
		}
	}
}

func (f *Fake) take(where map[string]*answer, c host.Command) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, c.String())
	a := where[c.String()]
	if a == nil {
		f.t.Errorf("unexpected command: %s", c)
		return nil, errors.New("unexpected command")
	}
	a.used = true
	return []byte(a.out), a.err
}

// Query answers an expected query.
func (f *Fake) Query(_ context.Context, c host.Command) ([]byte, error) { return f.take(f.queries, c) }

// QueryMany answers expected queries.
func (f *Fake) QueryMany(ctx context.Context, cs []host.Command) ([]host.Answer, error) {
	out := make([]host.Answer, len(cs))
	for i, c := range cs {
		out[i].Out, out[i].Err = f.Query(ctx, c)
	}
	return out, nil
}

// Run answers an expected command.
func (f *Fake) Run(_ context.Context, c host.Command) ([]byte, error) { return f.take(f.runs, c) }

// Put keeps the files.
func (f *Fake) Put(_ context.Context, files ...host.File) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range files {
		f.log = append(f.log, "put "+file.Path)
		f.files[file.Path] = file
	}
	return nil
}

// Send keeps the file, having checked its hash.
func (f *Fake) Send(_ context.Context, b host.Blob, p host.Progress) (host.Sent, error) {
	data, err := os.ReadFile(b.Local)
	if err != nil {
		return host.Sent{}, err
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(data)); sum != b.SHA256 || int64(len(data)) != b.Size {
		return host.Sent{}, fmt.Errorf("%s is not what was announced: %s, %d bytes", b.Local, sum, len(data))
	}
	if p != nil {
		p(b.Size, b.Size)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, "send "+b.Path)
	f.files[b.Path] = host.File{Path: b.Path, Mode: b.Mode, Content: data}
	return host.Sent{Bytes: b.Size}, nil
}

// Job runs an expected command; its output is the job's lines.
func (f *Fake) Job(_ context.Context, j host.Job, seen func(line string)) error {
	f.mu.Lock()
	f.jobs = append(f.jobs, j)
	f.mu.Unlock()
	out, err := f.take(f.runs, host.Command{Argv: j.Argv, Root: true})
	if seen != nil {
		for line := range strings.Lines(string(out)) {
			seen(strings.TrimSuffix(line, "\n"))
		}
	}
	return err
}

// Dial is for boxes with a network; use Box.
func (f *Fake) Dial(context.Context, string, string) (net.Conn, error) {
	f.t.Error("the fake has no network")
	return nil, errors.New("the fake has no network")
}

// File returns what was put or sent to a path.
func (f *Fake) File(path string) (host.File, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, ok := f.files[path]
	return file, ok
}

// Jobs returns the jobs that were run.
func (f *Fake) Jobs() []host.Job {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]host.Job(nil), f.jobs...)
}

// Log lists what was done, in order.
func (f *Fake) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.log...)
}
