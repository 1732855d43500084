package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// outputs is where jobs write. It is under /run, as the units are: after a
// power cut neither is there and the work is begun again.
func (w *watched) outputs() string { return path.Join(w.client.opts.RunDir, "jobs") }

// startJob makes the transient unit $1 with the description $2 that runs what
// follows. RemainAfterExit keeps the result of a job that ends while nobody
// is connected.
const startJob = `set -e
umask 077
u=$1; t=$2; o=$3; shift 3
mkdir -p "$o"
: >"$o/$u.log"
systemd-run --quiet --unit="$u.service" --description="$t" --property=RemainAfterExit=yes \
	--property=StandardOutput="append:$o/$u.log" --property=StandardError="append:$o/$u.log" -- "$@"`

// lookAtJob shows the unit $1 and its output from byte $3 on. While the unit
// runs and says nothing new it looks again, $4 times and $5 seconds apart:
// each look that comes over the link has sudo check a password, which costs an
// old box more than the look does.
const lookAtJob = `o=$2/$1.log n=$4
while :; do
	s=$(systemctl show -p LoadState,ActiveState,SubState,Result,ExecMainStatus,Description "$1.service")
	case $s in *SubState=running*) ;; *) break ;; esac
	[ "$n" -gt 0 ] && [ "$(stat -c %s "$o" 2>/dev/null || echo 0)" -le "$3" ] || break
	n=$((n - 1))
	sleep "$5"
done
printf '%s\n\n' "$s"
if [ -e "$o" ]; then tail -c "+$(($3 + 1))" "$o"; fi`

// looks is how often the box looks at a job before it answers that there is
// nothing new. The client's view of a stall is as late as that.
const looks = 10

// forgetJob removes the unit $1 and its output.
const forgetJob = `systemctl stop "$1.service" 2>/dev/null
systemctl reset-failed "$1.service" 2>/dev/null
rm -f "$2/$1.log"`

// Job runs long work as a transient unit, or attaches to the one that runs.
// A result that nobody has seen yet counts; a failure of an earlier run is
// tried again.
func (c *Client) Job(ctx context.Context, j Job, seen func(line string)) error {
	if len(j.Argv) == 0 {
		return fmt.Errorf("job %s: there is no command", j.Name)
	}
	if err := c.mayChange(ctx); err != nil {
		return err
	}
	w := &watched{client: c, job: j, unit: "ssg-bootstrap-" + j.Name, seen: seen}
	if err := w.run(ctx); err != nil {
		return fmt.Errorf("job %s: %w", j.Name, err)
	}
	return nil
}

// watched is a job that this client looks after.
type watched struct {
	client  *Client
	job     Job
	unit    string
	seen    func(string)
	offset  int64
	partial []byte
	tail    []string
	moved   time.Time
}

// title tells the work apart from other work of the same name.
func (w *watched) title() string {
	sum := sha256.Sum256([]byte(strings.Join(w.job.Argv, "\x00")))
	return fmt.Sprintf("ssg-bootstrap %s %x", w.job.Name, sum[:8])
}

func (w *watched) run(ctx context.Context) error {
	w.moved = time.Now()
	started := false
	for {
		s, err := w.look(ctx)
		if err != nil {
			return err
		}
		switch {
		case s.running():
		case s.absent() && !started, s.ended() && !started && (s.title != w.title() || s.failed()):
			if err := w.begin(ctx, s); err != nil {
				return err
			}
			started = true
			continue
		case s.absent():
			return fault.New(fault.CommandFailed, "", "the unit %s is gone; did the box restart?", w.unit)
		default:
			return w.result(ctx, s)
		}
		// A running unit's end is this run's to judge, whoever began it.
		started = s.title == w.title()
		if quiet := time.Since(w.moved); w.job.Stall > 0 && quiet > w.job.Stall {
			return &fault.Error{
				Code: fault.WaitStalled, Err: fmt.Errorf("it has said nothing for %s; it goes on as %s.service", quiet.Round(time.Second), w.unit),
				Evidence: strings.Join(w.tail, "\n"), Next: "run the same command again: it attaches to the work that goes on",
			}
		}
		if err := sleep(ctx, w.client.opts.JobPoll); err != nil {
			return err
		}
	}
}

// jobState is what systemd says of the unit.
type jobState struct {
	load, active, sub, result, title string
	status                           int
}

func (s jobState) absent() bool  { return s.load == "not-found" || s.active == "inactive" }
func (s jobState) running() bool { return !s.absent() && !s.ended() }
func (s jobState) failed() bool  { return s.active == "failed" }
func (s jobState) ended() bool   { return s.failed() || s.active == "active" && s.sub == "exited" }

func parseJobState(text string) (jobState, error) {
	var s jobState
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "LoadState":
			s.load = value
		case "ActiveState":
			s.active = value
		case "SubState":
			s.sub = value
		case "Result":
			s.result = value
		case "Description":
			s.title = value
		case "ExecMainStatus":
			n, err := strconv.Atoi(value)
			if err != nil {
				return s, fmt.Errorf("read exit status of the unit: %w", err)
			}
			s.status = n
		}
	}
	if s.load == "" || s.active == "" {
		return s, errors.New("systemctl show says nothing of the unit")
	}
	return s, nil
}

// look asks for state and new output in one round trip.
func (w *watched) look(ctx context.Context) (jobState, error) {
	var out bytes.Buffer
	_, err := w.client.again(ctx, func() script {
		out.Reset()
		return script{
			body: lookAtJob, root: true, stdout: &out, label: "look at " + w.unit,
			args: []string{
				w.unit, w.outputs(), strconv.FormatInt(w.offset, 10),
				strconv.Itoa(looks), strconv.FormatFloat(w.client.opts.JobPoll.Seconds(), 'f', 3, 64),
			},
		}
	})
	if err != nil {
		return jobState{}, err
	}
	head, output, _ := bytes.Cut(out.Bytes(), []byte("\n\n"))
	s, err := parseJobState(string(head))
	if err != nil {
		return s, err
	}
	if s.title == w.title() {
		w.read(output)
	}
	return s, nil
}

// keptLines is how much of the output an error shows.
const keptLines = 20

func (w *watched) read(output []byte) {
	if len(output) == 0 {
		return
	}
	w.moved = time.Now()
	w.offset += int64(len(output))
	w.partial = append(w.partial, output...)
	for {
		line, rest, ok := bytes.Cut(w.partial, []byte("\n"))
		if !ok {
			return
		}
		w.say(string(line))
		w.partial = rest
	}
}

func (w *watched) say(line string) {
	w.tail = append(w.tail, line)
	if len(w.tail) > keptLines {
		w.tail = w.tail[1:]
	}
	if w.seen != nil {
		w.seen(line)
	}
}

// begin starts the unit, over the remains of an earlier one if there are any.
// When the connection breaks meanwhile, the next look tells whether it runs.
func (w *watched) begin(ctx context.Context, s jobState) error {
	w.offset, w.partial, w.tail, w.moved = 0, nil, nil, time.Now()
	if !s.absent() {
		if err := w.forget(ctx); err != nil {
			return err
		}
	}
	_, err := w.client.once(ctx, script{
		body: startJob, root: true, label: "start " + w.unit, changes: true,
		args: append([]string{w.unit, w.title(), w.outputs()}, w.job.Argv...),
	})
	if fault.CodeOf(err) != fault.LinkLost {
		return err
	}
	if s, err := w.look(ctx); err != nil || !s.absent() {
		return err
	}
	return w.begin(ctx, jobState{load: "not-found"})
}

func (w *watched) forget(ctx context.Context) error {
	_, err := w.client.again(ctx, func() script {
		return script{body: forgetJob, args: []string{w.unit, w.outputs()}, root: true, label: "forget " + w.unit, changes: true}
	})
	return err
}

// result reports the job's end, having removed it: read once, it is done with.
func (w *watched) result(ctx context.Context, s jobState) error {
	if len(w.partial) > 0 {
		w.say(string(w.partial))
	}
	output := strings.Join(w.tail, "\n")
	if err := w.forget(ctx); err != nil {
		return err
	}
	if !s.failed() {
		return nil
	}
	status := s.status
	if status == 0 {
		// Killed, out of memory, timed out: Result says it.
		status = 1
		output += "\nsystemd: " + s.result
	}
	return failed(strings.Join(w.job.Argv, " "), status, []byte(output))
}
