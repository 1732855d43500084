package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
)

// Input is what one measurement of a box needs.
type Input struct {
	Host    host.Host
	Cluster *cluster.Cluster
	// Want is the release, nil where none is deployed.
	Want     *release.Want
	Tag      string
	Facts    facts.Facts
	Versions Versions
	Name     string
	Holder   string
	Options  Options
	// Reboot restarts the box and times it; nil leaves that out.
	Reboot func(ctx context.Context, note func(string)) (Row, error)
	// Task begins a part of the work that people are told of.
	Task func(id, title string) (note func(string), end func(error))
	Now  func() time.Time
}

// Measure measures everything that is asked for: first what needs a box at
// rest, then boots. The result holds what could be measured also when an error
// ended it early.
func Measure(ctx context.Context, in Input) (Result, error) {
	begin := in.Now()
	r := NewResult(KindBench, in.Name, begin, in.Facts)
	r.Versions = in.Versions
	r.Settings = Settings{
		Runs: in.Options.Runs, DropCaches: in.Options.DropCaches, Real: in.Options.Restart, Stopped: in.Options.StopRelease,
	}
	err := in.measure(ctx, &r)
	r.sort()
	r.Took = round(in.Now().Sub(begin).Seconds())
	r.Warnings = append(r.Warnings, r.noise()...)
	return r, err
}

// NewResult returns the empty result of a box that looks like this.
func NewResult(k Kind, host string, begin time.Time, f facts.Facts) Result {
	return Result{Format: Format, Kind: k, Host: host, Started: begin.UTC(), Box: boxOf(f)}
}

func boxOf(f facts.Facts) Box {
	return Box{
		Name: f.HostName, BootID: f.BootID, CPU: f.CPU.Model, Cores: f.CPU.Cores, MemoryBytes: f.Memory.Total,
		Kernel: f.Kernel, Distribution: f.Distribution.Name,
	}
}

// freeOf is what the box has left; the last file system is that of k3s's data.
func freeOf(f facts.Facts) Free {
	out := Free{Memory: f.Memory.Available}
	if n := len(f.FileSystems); n > 0 {
		out.Disk, out.DiskSize = f.FileSystems[n-1].Free, f.FileSystems[n-1].Size
	}
	return out
}

func (in Input) measure(ctx context.Context, r *Result) error {
	for _, part := range []func(context.Context, *Result) error{in.memory, in.link, in.disk, in.boots, in.reboot} {
		if err := part(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// one measures something that has a row of its own. That it cannot be measured
// is no reason not to measure the rest, unless the box is out of reach.
func (in Input) one(ctx context.Context, r *Result, m Metric, title string, measure func(context.Context, func(string)) (Row, error)) error {
	if !in.Options.wants(m) {
		return nil
	}
	note, end := in.Task("bench-"+string(m), title)
	row, err := measure(ctx, note)
	end(err)
	if err != nil {
		row = NewRow(m, row.Method)
		row.Fail(err.Error(), "")
	}
	r.Rows = append(r.Rows, row)
	return fatal(ctx, err)
}

// fatal keeps the errors after which nothing else can be measured.
func fatal(ctx context.Context, err error) error {
	if err != nil && (ctx.Err() != nil || isLinkLost(err)) {
		return err
	}
	return nil
}

func (in Input) memory(ctx context.Context, r *Result) error {
	name := release.DefaultName
	if in.Want != nil {
		name = in.Want.Name
	}
	return in.one(ctx, r, IdleMemory, "measure idle memory", func(ctx context.Context, _ func(string)) (Row, error) {
		return Memory(ctx, in.Host, in.Cluster, name)
	})
}

func (in Input) disk(ctx context.Context, r *Result) error {
	err := in.one(ctx, r, DiskFsync, "measure the disk", func(ctx context.Context, _ func(string)) (Row, error) {
		return Fsync(ctx, in.Host, in.Options.runs(DiskFsync))
	})
	if err != nil {
		return err
	}
	return in.one(ctx, r, DiskUsed, "measure disk use", func(ctx context.Context, _ func(string)) (Row, error) { return DiskUse(ctx, in.Host) })
}

func (in Input) link(ctx context.Context, r *Result) error {
	if !in.Options.anyOf(LinkUp, LinkDown, LinkLatency) {
		return nil
	}
	_, end := in.Task("bench-link", "measure the link")
	rows, err := Link(ctx, in.Host, in.Options.runs(LinkUp), in.Options)
	end(err)
	if err != nil {
		for _, m := range []Metric{LinkUp, LinkDown, LinkLatency} {
			if in.Options.wants(m) {
				row := NewRow(m, MethodLink)
				row.Fail(err.Error(), "")
				rows = append(rows, row)
			}
		}
	}
	r.Rows = append(r.Rows, rows...)
	return fatal(ctx, err)
}

func (in Input) boots(ctx context.Context, r *Result) error {
	if in.Want == nil || !in.Options.anyOf(bootMetrics()...) {
		return nil
	}
	note, end := in.Task("bench-boots", "measure boots")
	b := Bencher{
		Host: in.Host, Cluster: in.Cluster, Want: *in.Want, Tag: in.Tag, Holder: in.Holder, Free: freeOf(in.Facts), Options: in.Options, Note: note, Now: in.Now,
		Watch: func(ctx context.Context, namespace string, rules []Rule) (Watch, error) {
			return Observe(ctx, in.Host, namespace, rules)
		},
		Mark: func(ctx context.Context, there bool) error { return mark(ctx, in.Host, in.Holder, there) },
	}
	rows, timeline, warnings, err := b.Boots(ctx)
	end(err)
	r.Rows, r.Timeline, r.Warnings = append(r.Rows, rows...), timeline, append(r.Warnings, warnings...)
	return err
}

// bootMetrics are those for which pods are started.
func bootMetrics() []Metric {
	out := []Metric{ColdDeploy}
	for _, c := range components() {
		out = append(out, c.metrics()...)
	}
	return out
}

func (in Input) reboot(ctx context.Context, r *Result) error {
	if in.Reboot == nil || !in.Options.wants(NodeBoot) {
		return nil
	}
	return in.one(ctx, r, NodeBoot, "restart the box", in.Reboot)
}

// noise says once what was loud in which rows.
func (r Result) noise() []string {
	var out []string
	for _, d := range disturbances() {
		if text := d.seen(r.Rows, r.Box.Cores); text != "" {
			out = append(out, text)
		}
	}
	return out
}

func join(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	out := names[0]
	for _, n := range names[1:] {
		out += "; " + n
	}
	return out
}

// Unmeasured are the rows that should have a figure and have none.
func (r Result) Unmeasured() []Row {
	return slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return row.Failure == nil })
}
