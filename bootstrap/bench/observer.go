package bench

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

//go:embed observer.pl
var observerScript []byte

// Where the observer lives on the box. All of it is under /run: a box that was
// switched off has nothing of it.
const (
	observerDir  = "/run/ssg-bootstrap/bench"
	observerUnit = "ssg-bootstrap-bench"
	// tasksDir is where k3s's containerd keeps the bundles of what runs.
	tasksDir = "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io"
	// observerLife bounds an observer that nobody stops.
	observerLife = 3 * time.Hour
)

// Rule says how to ask one container whether it serves.
type Rule struct {
	// Name is what the observer calls it.
	Name string
	// Pod is a part of the pod's name, Container the whole of the container's.
	Pod, Container string
	// Kind is mysql, amqp, redis, http, file or peer, Where its port, path or
	// both, as in 3000/healthz.
	Kind, Where string
}

func (r Rule) String() string {
	return strings.Join([]string{r.Name, r.Pod, r.Container, r.Kind, r.Where}, "=")
}

// Sighting is one moment that the observer saw. At is in seconds since the box
// booted, Wall in seconds by its clock.
type Sighting struct {
	What      string  `json:"what"`
	At        float64 `json:"at"`
	Wall      float64 `json:"wall"`
	ID        string  `json:"id"`
	Pod       string  `json:"pod"`
	Container string  `json:"container"`
	Rule      string  `json:"rule"`
	// Error is the time since the look before, in seconds: the moment was
	// somewhere between the two.
	Error float64 `json:"error"`
	Boot  string  `json:"boot"`
	counters
}

// The kinds of sightings.
const (
	sawReady   = "ready"
	sawSandbox = "sandbox"
	sawCreated = "created"
	sawStarted = "started"
	sawServes  = "serves"
	sawEnded   = "ended"
	sawEnd     = "end"
)

// Watch is an observer at work on the box.
type Watch interface {
	// Next returns what was seen since the last call; it waits for something
	// to be seen, but not longer than some seconds.
	Next(ctx context.Context) ([]Sighting, error)
	// Uptime is the box's time now, on the clock of the sightings.
	Uptime(ctx context.Context) (float64, error)
	// Stop ends the observer.
	Stop(ctx context.Context) error
}

// ErrRebooted says that the box is no longer the one that was observed: it
// restarted, or lost its observer.
var ErrRebooted = errors.New("the box restarted in between")

// observer is the real Watch.
type observer struct {
	host   host.Host
	boot   string
	offset int64
	rest   []byte
}

// Observe starts the observer for a namespace, in the place of one that an
// earlier run left behind.
func Observe(ctx context.Context, h host.Host, namespace string, rules []Rule) (Watch, error) {
	if err := stopObserver(ctx, h); err != nil {
		return nil, err
	}
	script := path.Join(observerDir, "observer.pl")
	if err := h.Put(ctx, host.File{Path: script, Mode: 0o644, Content: observerScript}); err != nil {
		return nil, fmt.Errorf("bring the observer: %w", err)
	}
	argv := []string{
		"systemd-run", "--quiet", "--collect", "--unit=" + observerUnit, "--description=ssg-bootstrap bench: watches " + namespace,
		"--property=RuntimeMaxSec=" + strconv.Itoa(int(observerLife.Seconds())),
		// A box that boots databases lets everybody wait; the clock must not.
		"--property=Nice=-10", "--property=MemoryMax=32M",
		"--property=StandardOutput=append:" + observerLog(), "--property=StandardError=append:" + observerLog(),
		"--", "/usr/bin/perl", script, namespace, strconv.Itoa(int(observerLife.Seconds())), tasksDir,
	}
	for _, r := range rules {
		argv = append(argv, r.String())
	}
	if _, err := h.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return nil, fmt.Errorf("start the observer: %w", err)
	}
	o := &observer{host: h}
	return o, o.begin(ctx)
}

func observerLog() string { return path.Join(observerDir, "seen") }

// begin waits for the observer's first words: what is made before them would
// be taken for something that was there.
func (o *observer) begin(ctx context.Context) error {
	for range 4 {
		seen, err := o.Next(ctx)
		if err != nil {
			return fmt.Errorf("start the observer: %w", err)
		}
		if len(seen) > 0 && seen[0].What == sawReady {
			o.boot = seen[0].Boot
			return nil
		}
	}
	return fault.New(fault.CommandFailed, "see `journalctl -u "+observerUnit+"` on the box", "start the observer: it says nothing")
}

// readScript prints the boot ID and what was written to the file $1 from byte
// $2 on, waiting up to $3 seconds for it without a process for each look.
const readScript = `my ($file, $from, $wait) = @ARGV;
for (1 .. $wait * 4) { last if !-e $file || -s _ > $from; select undef, undef, undef, 0.25 }
open my $b, '<', '/proc/sys/kernel/random/boot_id'; print scalar <$b>;
open my $f, '<', $file or exit 3; seek $f, $from, 0; print while <$f>;`

// longPoll is how many seconds one look waits; Ctrl-C does not wait for it.
const longPoll = 5

// Next returns what was seen since the last call.
func (o *observer) Next(ctx context.Context) ([]Sighting, error) {
	out, err := o.host.Query(ctx, host.Command{
		Argv: []string{"/usr/bin/perl", "-e", readScript, observerLog(), strconv.FormatInt(o.offset, 10), strconv.Itoa(longPoll)},
		Root: true,
	})
	var failed *host.CommandError
	if errors.As(err, &failed) && failed.Exit == 3 && o.boot != "" {
		return nil, ErrRebooted
	}
	if err != nil && !(errors.As(err, &failed) && failed.Exit == 3) {
		return nil, fmt.Errorf("read what was seen: %w", err)
	}
	boot, text, _ := bytes.Cut(out, []byte("\n"))
	if o.boot != "" && string(boot) != o.boot {
		return nil, ErrRebooted
	}
	o.offset += int64(len(text))
	o.rest = append(o.rest, text...)
	seen, rest, err := parseSightings(o.rest)
	o.rest = rest
	return seen, err
}

// parseSightings reads whole lines and returns the beginning of the next one.
// What is no object is the observer's last cry.
func parseSightings(text []byte) ([]Sighting, []byte, error) {
	end := bytes.LastIndexByte(text, '\n') + 1
	var out []Sighting
	lines := bufio.NewScanner(bytes.NewReader(text[:end]))
	for lines.Scan() {
		var s Sighting
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		if err := d.Decode(&s); err != nil || s.What == "" {
			return out, nil, fault.New(fault.CommandFailed, "", "the observer says: %.200q", lines.Text())
		}
		out = append(out, s)
	}
	if err := lines.Err(); err != nil {
		return out, nil, fmt.Errorf("read what was seen: %w", err)
	}
	return out, bytes.Clone(text[end:]), nil
}

// Stop ends the observer and removes what it wrote.
func (o *observer) Stop(ctx context.Context) error { return stopObserver(ctx, o.host) }

const stopScript = `systemctl stop "$1.service" 2>/dev/null
rm -rf "$2"`

// StopObserver ends an observer that an earlier run may have left on the box.
func StopObserver(ctx context.Context, h host.Host) error { return stopObserver(ctx, h) }

func stopObserver(ctx context.Context, h host.Host) error {
	if _, err := h.Run(ctx, host.Command{Argv: []string{"sh", "-c", stopScript, "sh", observerUnit, observerDir}, Root: true}); err != nil {
		return fmt.Errorf("stop the observer: %w", err)
	}
	return nil
}

// Uptime asks the box how long it is up.
func (o *observer) Uptime(ctx context.Context) (float64, error) {
	out, err := o.host.Query(ctx, host.Command{Argv: []string{"cat", "/proc/uptime"}})
	if err != nil {
		return 0, fmt.Errorf("read the box's uptime: %w", err)
	}
	first, _, _ := strings.Cut(string(out), " ")
	up, err := strconv.ParseFloat(first, 64)
	if err != nil || up < 0 || up > 1e10 {
		return 0, fmt.Errorf("read the box's uptime: not one: %.40q", out)
	}
	return up, nil
}
