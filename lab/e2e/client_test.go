//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// client runs the real ssg-bootstrap as its user would, with a home of its own.
type client struct {
	bin, home, config string
	env               []string
}

// event is the part of the event stream that the tests look at.
type event struct {
	Kind        string  `json:"kind"`
	Step        string  `json:"step"`
	Text        string  `json:"text"`
	Done        int64   `json:"done"`
	Total       int64   `json:"total"`
	TookSeconds float64 `json:"tookSeconds"`
	Error       string  `json:"error"`
	at          time.Time
}

// result is the one object on standard output.
type result struct {
	Exit  int             `json:"exit"`
	Data  json.RawMessage `json:"data"`
	Error *struct {
		Code     string `json:"code"`
		Message  string `json:"message"`
		Evidence string `json:"evidence"`
		Next     string `json:"next"`
	} `json:"error"`
}

// run is one run of the client.
type run struct {
	cmd    *exec.Cmd
	args   []string
	stdout bytes.Buffer
	done   chan struct{}

	mu     sync.Mutex
	events []event
	stderr bytes.Buffer
	err    error
	took   time.Duration
	peak   atomic.Int64
}

// start runs the client in the background; see is told of each event as it
// comes and may be nil.
func (c *client) start(t *testing.T, see func(event), args ...string) *run {
	t.Helper()
	args = append([]string{"--config", c.config, "-o", "json"}, args...)
	r := &run{cmd: exec.Command(c.bin, args...), args: args, done: make(chan struct{})}
	r.cmd.Env = append([]string{"HOME=" + c.home, "PATH=" + os.Getenv("PATH")}, c.env...)
	r.cmd.Stdout = &r.stdout
	pipe, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go r.watchMemory()
	go func() {
		r.read(pipe, see)
		r.err = r.cmd.Wait()
		r.took = time.Since(begin)
		close(r.done)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
	})
	return r
}

func (r *run) read(from io.Reader, see func(event)) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e := event{at: time.Now()}
		isEvent := json.Unmarshal(lines.Bytes(), &e) == nil
		r.mu.Lock()
		if isEvent {
			r.events = append(r.events, e)
		}
		if e.Kind != "progress" {
			r.stderr.Write(lines.Bytes())
			r.stderr.WriteByte('\n')
		}
		r.mu.Unlock()
		if isEvent && see != nil {
			see(e)
		}
	}
}

// wait waits for the end of the run and returns its exit status.
func (r *run) wait(t *testing.T) int {
	t.Helper()
	<-r.done
	return r.cmd.ProcessState.ExitCode()
}

// kill ends the client as a power cut of the workstation would: nothing is
// tidied up.
func (r *run) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatalf("kill the client: %v", err)
	}
	<-r.done
}

// result parses what was printed on standard output.
func (r *run) result(t *testing.T) result {
	t.Helper()
	var res result
	if err := json.Unmarshal(r.stdout.Bytes(), &res); err != nil {
		t.Fatalf("%v printed no result: %v\n%s\n%s", r.args, err, r.stdout.String(), r.log())
	}
	return res
}

func (r *run) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

// watchMemory keeps the highest resident size that the kernel has noted for
// the client. It is asked while the client runs, because the figure that
// wait4 gives at the end (ru_maxrss) begins with the size of the process that
// started it: execve carries over the mark of the memory it replaces, and
// after a whole core path that is this test's own 230 MB.
func (r *run) watchMemory() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	status := fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid)
	for {
		select {
		case <-r.done:
			return
		case <-tick.C:
		}
		text, err := os.ReadFile(status)
		if err != nil {
			return
		}
		if _, mark, ok := strings.Cut(string(text), "VmHWM:"); ok {
			var kib int64
			if _, err := fmt.Sscan(mark, &kib); err == nil {
				r.peak.Store(kib << 10)
			}
		}
	}
}

// peakMemory is the client's largest resident size in bytes, as of at most
// 100 ms before its end.
func (r *run) peakMemory(t *testing.T) int64 {
	t.Helper()
	peak := r.peak.Load()
	if peak == 0 {
		t.Errorf("%v: its memory was never seen", r.args)
	}
	return peak
}

// sent returns how far the step's transfer came, in bytes.
func (r *run) sent(step string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var n int64
	for _, e := range r.events {
		if e.Step == step && e.Kind == "progress" {
			n = max(n, e.Done)
		}
	}
	return n
}

// took returns how long each step took, for those that finished.
func (r *run) steps() map[string]time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]time.Duration{}
	for _, e := range r.events {
		if e.Kind == "step-done" || e.Kind == "step-unchanged" {
			out[e.Step] = time.Duration(e.TookSeconds * float64(time.Second))
		}
	}
	return out
}

// must runs the client to its end and fails the test unless it exits with 0.
func (c *client) must(t *testing.T, args ...string) *run {
	t.Helper()
	r := c.start(t, nil, args...)
	if exit := r.wait(t); exit != 0 {
		t.Fatalf("ssg-bootstrap %v: exit %d\n%s\n%s", args, exit, r.stdout.String(), r.log())
	}
	return r
}

// refused runs the client and fails the test unless it ends with the exit
// status and the code.
func (c *client) refused(t *testing.T, exit int, code string, args ...string) result {
	t.Helper()
	r := c.start(t, nil, args...)
	got := r.wait(t)
	res := r.result(t)
	if got != exit || res.Error == nil || res.Error.Code != code {
		t.Fatalf("ssg-bootstrap %v: exit %d, want %d with %s\n%s\n%s", args, got, exit, code, r.stdout.String(), r.log())
	}
	if res.Error.Next == "" {
		t.Errorf("ssg-bootstrap %v: the error names no next command: %s", args, res.Error.Message)
	}
	return res
}

func (e event) String() string {
	return fmt.Sprintf("%s %s %d/%d %s", e.Kind, e.Step, e.Done, e.Total, e.Text)
}
