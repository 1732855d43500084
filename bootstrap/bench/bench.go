package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

// Options are what the user chose.
type Options struct {
	// Runs is how often each boot is timed; 0 is 3, and 1 for what is slow.
	Runs       int
	DropCaches bool
	// Restart times further boots of the release that serves.
	Restart bool
	// StopRelease makes room for the cold deploy.
	StopRelease bool
	// Wants says which metrics are asked for; nil asks for all.
	Wants func(Metric) bool
}

const defaultRuns = 3

func (o Options) runs(m Metric) int {
	if o.Runs > 0 {
		return o.Runs
	}
	if d, ok := Define(m); ok && d.Slow {
		return 1
	}
	return defaultRuns
}

func (o Options) wants(m Metric) bool { return m != "" && (o.Wants == nil || o.Wants(m)) }

// anyOf reports whether one of the metrics is asked for.
func (o Options) anyOf(all ...Metric) bool {
	for _, m := range all {
		if o.wants(m) {
			return true
		}
	}
	return false
}

// Bencher measures the boots of one release on one box.
type Bencher struct {
	Host host.Host
	// Cluster is seen from the release's namespace.
	Cluster *cluster.Cluster
	Want    release.Want
	// Tag is the application's image tag that the box runs.
	Tag    string
	Holder string
	// Free is what the box had to give when it was looked at.
	Free Free
	Options
	Note func(string)
	Now  func() time.Time
	// Watch starts an observer; Observe, outside of tests.
	Watch func(ctx context.Context, namespace string, rules []Rule) (Watch, error)
	// Mark notes on the box that a scratch namespace is there, or that it is
	// gone: what looks at the box next then knows it without asking the API.
	Mark func(ctx context.Context, there bool) error

	rows     map[Metric]*Row
	order    []Metric
	timeline *Timeline
	warnings []string
	clock    clock
	room     error
	pace     pace
}

// row returns the row of a metric, making it when it is first asked for.
func (b *Bencher) row(m Metric, method string) *Row {
	if r, ok := b.rows[m]; ok {
		return r
	}
	r := NewRow(m, method)
	b.rows[m], b.order = &r, append(b.order, m)
	return &r
}

// Boots measures boots and the cold deploy. What could be measured is in the
// rows in any case; the error is for what ended it early.
func (b *Bencher) Boots(ctx context.Context) ([]Row, *Timeline, []string, error) {
	b.rows = map[Metric]*Row{}
	err := b.boots(ctx)
	var rows []Row
	for _, m := range b.order {
		rows = append(rows, *b.rows[m])
	}
	if d := b.clock.jumped(); d != 0 {
		b.warn("the box's clock was moved by %+.0f s meanwhile: Kubernetes' own times are left out, the measured ones do not depend on it", d)
	}
	return rows, b.timeline, b.warnings, err
}

func (b *Bencher) warn(format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf(format, args...))
}

func (b *Bencher) boots(ctx context.Context) error {
	if err := Clean(ctx, b.Cluster, b.Want.Waits.Stall, b.Note); err != nil {
		return err
	}
	s, err := newScratch(b.Cluster, b.Want, b.Tag, b.Holder, b.Now(), b.Note)
	if err != nil {
		return err
	}
	if b.Restart {
		if err := b.restarts(ctx, s.objects); err != nil {
			return err
		}
	}
	if !b.scratchWanted(s.objects) {
		return nil
	}
	return b.inScratch(ctx, s)
}

// scratchWanted reports whether anything is left to measure in the scratch
// namespace.
func (b *Bencher) scratchWanted(o objects) bool {
	for _, c := range o.present() {
		if b.anyOf(c.first, c.inStep) || b.wants(c.later) && !b.Restart {
			return true
		}
	}
	return b.wants(ColdDeploy)
}

// tidying bounds what happens after Ctrl-C or a lost connection.
const tidying = 10 * time.Minute

// inScratch measures in the scratch namespace and removes it however it ends.
func (b *Bencher) inScratch(ctx context.Context, s *scratch) (err error) {
	if b.room = roomFor(ctx, b.Cluster, s.objects, b.Free); b.room != nil && !b.StopRelease {
		b.noRoom(s.objects)
		return nil
	}
	var w Watch
	defer func() { err = errors.Join(err, b.leave(ctx, w, err)) }()
	if err := b.Mark(ctx, true); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	if b.StopRelease {
		b.Note("stopping the release")
		if _, err := stop(ctx, b.Cluster, b.Want.Namespace, b.Want.Name, b.Want.Waits.Stall); err != nil {
			return err
		}
	}
	if w, err = b.Watch(ctx, Namespace, rules(s.objects.present())); err != nil {
		return err
	}
	sw := b.stopwatch(w, s.cluster, s)
	defer func() { b.clock = sw.clock }()
	b.pace = pace{planned: b.planned(s.objects), began: b.Now()}
	if err := b.each(ctx, s, sw); err != nil {
		return lost(err)
	}
	if b.wants(ColdDeploy) {
		return lost(b.coldDeploys(ctx, s, sw))
	}
	return nil
}

// leave stops the observer and removes the scratch namespace, whatever ended
// the measurement. A link that was lost has been waited for long enough by
// then: if not even the observer can be reached, both are left to the next run.
func (b *Bencher) leave(ctx context.Context, w Watch, why error) error {
	var stopped error
	if w != nil {
		if stopped = b.stopWatch(ctx, w); stopped != nil && isLinkLost(why) {
			return fmt.Errorf("the scratch namespace is left to the next run: %w", stopped)
		}
	}
	return errors.Join(stopped, b.tidy(ctx))
}

// tidy removes the scratch namespace also after Ctrl-C, and once the cluster
// answers again after a restart of the box. Out of reach, it is left to the
// next run.
func (b *Bencher) tidy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidying)
	defer cancel()
	for {
		err := Clean(ctx, b.Cluster, b.Want.Waits.Stall, b.Note)
		if err == nil {
			return b.Mark(ctx, false)
		}
		if !comesBack(err) {
			return err
		}
		b.Note("waiting for the cluster, to remove the scratch namespace")
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Second):
		}
	}
}

// comesBack reports whether an error is one of an API that is about to start:
// it answers nothing, or, while its own parts are not ready, that it cannot.
func comesBack(err error) bool {
	code := fault.CodeOf(err)
	return code == fault.ClusterUnreachable || code == fault.ReleaseFailed
}

func (b *Bencher) stopWatch(ctx context.Context, w Watch) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return w.Stop(ctx)
}

func (b *Bencher) stopwatch(w Watch, c *cluster.Cluster, s *scratch) *stopwatch {
	return &stopwatch{
		watch: w, cluster: c, objects: s.objects, redact: s.book.Secrets.Redact,
		stall: b.Want.Waits.Stall, kubernetes: askKubernetes,
	}
}

// noRoom says in every row why it is empty.
func (b *Bencher) noRoom(o objects) {
	text := b.room.Error() + "; `ssg-bootstrap bench --stop-release` stops it meanwhile"
	for _, c := range o.present() {
		for _, m := range c.metrics() {
			if b.wants(m) && !(m == c.later && b.Restart) {
				b.row(m, MethodAlone).Fail(text, "")
			}
		}
	}
	if b.wants(ColdDeploy) {
		b.row(ColdDeploy, MethodScratch).Fail(text, "")
	}
}

// each times one component after the other. One that does not come up takes
// those with it that need it, and no others.
func (b *Bencher) each(ctx context.Context, s *scratch, sw *stopwatch) error {
	broken := map[string]bool{}
	for _, c := range s.objects.present() {
		if !b.neededFor(c, s.objects, broken) {
			continue
		}
		err := missing(c, broken)
		if err == nil {
			err = b.component(ctx, s, sw, c)
		}
		failed, alone := isBoot(err)
		if err != nil && !alone {
			b.failRest(c, err)
			return err
		}
		if alone {
			broken[c.name] = true
			b.fail(c, failed)
		}
	}
	return nil
}

func missing(c component, broken map[string]bool) error {
	for _, n := range c.needs {
		if broken[n] {
			return &bootError{text: "not measured: " + c.name + " needs " + n + ", which did not come up"}
		}
	}
	return nil
}

// neededFor reports whether a component must run: because it is measured, or
// because one that is measured, and can come up yet, needs it.
func (b *Bencher) neededFor(c component, o objects, broken map[string]bool) bool {
	if b.measures(c) {
		return true
	}
	for _, other := range o.present() {
		if b.measures(other) && missing(other, broken) == nil && slices.Contains(other.needs, c.name) {
			return true
		}
	}
	return false
}

// measures reports whether a boot of the component in the scratch namespace is
// asked for.
func (b *Bencher) measures(c component) bool {
	return b.anyOf(c.first, c.inStep) || b.wants(c.later) && !b.Restart
}

func (b *Bencher) fail(c component, why *bootError) {
	for _, m := range c.metrics() {
		if r := b.row(m, MethodAlone); b.wants(m) && !r.Measured() {
			r.Fail(why.text, why.evidence)
		}
	}
}

// failRest notes in the component's rows what ended the measurement.
func (b *Bencher) failRest(c component, err error) {
	text := err.Error()
	if errors.Is(err, context.Canceled) {
		text = "stopped"
	}
	for _, m := range c.metrics() {
		if b.wants(m) && (b.rows[m] == nil || !b.rows[m].Measured()) {
			b.row(m, MethodAlone).Fail(text, "")
		}
	}
}

// component times first boots on fresh volumes, and then further ones on the
// last of them.
func (b *Bencher) component(ctx context.Context, s *scratch, sw *stopwatch, c component) error {
	first := c.first
	if first == "" {
		first = c.later
	}
	runs := b.firstBoots(c)
	for run := range runs {
		if run > 0 {
			b.Note(c.name + ": a fresh volume for the next run")
			if err := s.remove(ctx, c); err != nil {
				return err
			}
		}
		b.Note(b.pace.next(progress(c.name, "first boot", run, runs), b.Now()))
		if err := b.run(ctx, sw, c, first, true, func(ctx context.Context) error { return s.begin(ctx, c) }); err != nil {
			return err
		}
	}
	for run, more := b.laterBoots(c); run < more; run++ {
		b.Note(b.pace.next(progress(c.name, "further boot", run, more), b.Now()))
		err := b.run(ctx, sw, c, c.later, false, func(ctx context.Context) error {
			return restart(ctx, s.cluster, componentLabel+"="+c.name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// firstBoots is how often the component is begun: without a volume of its own
// there is nothing to begin anew.
func (b *Bencher) firstBoots(c component) int {
	if c.stateful && b.anyOf(c.first, c.inStep) {
		return max(1, b.runs(c.first))
	}
	return 1
}

// laterBoots is how many further boots there are to be and with how many of
// them done the component comes up: where a first boot is no different, the one
// that makes it counts as well.
func (b *Bencher) laterBoots(c component) (done, all int) {
	if !b.wants(c.later) || b.Restart {
		return 0, 0
	}
	if c.first == "" {
		done = 1
	}
	return done, b.runs(c.later)
}

// planned is how many boots there will be if every component comes up.
func (b *Bencher) planned(o objects) int {
	n := 0
	for _, c := range o.present() {
		if b.neededFor(c, o, nil) {
			done, all := b.laterBoots(c)
			n += b.firstBoots(c) + max(0, all-done)
		}
	}
	return n
}

// pace tells how far a row of boots has come.
type pace struct {
	planned, begun int
	began          time.Time
}

// next counts a boot that begins now. What is left is reckoned from those that
// are done, of which some took longer than others will.
func (p *pace) next(what string, now time.Time) string {
	done := p.begun
	p.begun++
	text := fmt.Sprintf("boot %d of %d, %s", p.begun, p.planned, what)
	if done < 2 || p.planned <= done {
		return text
	}
	left := now.Sub(p.began) / time.Duration(done) * time.Duration(p.planned-done)
	return fmt.Sprintf("%s; %s left for the boots", text, report.About(left))
}

func progress(name, what string, run, runs int) string {
	if runs == 1 {
		return name + ": " + what
	}
	return fmt.Sprintf("%s: %s %d of %d", name, what, run+1, runs)
}

// run times one boot and puts it into its row.
func (b *Bencher) run(ctx context.Context, sw *stopwatch, c component, m Metric, fresh bool, begin func(context.Context) error) error {
	if err := b.dropCaches(ctx); err != nil {
		return err
	}
	l, err := sw.boot(ctx, c, fresh && b.wants(c.inStep), begin)
	if err != nil {
		return err
	}
	sample := l.sample(l.serves)
	sw.believes(ctx, c, &sample)
	if b.wants(m) {
		b.row(m, MethodAlone).Add(sample)
	}
	if l.inStep != nil && b.wants(c.inStep) {
		caught := l.sample(*l.inStep)
		b.row(c.inStep, MethodAlone).Add(caught)
	}
	return ctx.Err()
}

// dropCaches empties the page cache, if asked to.
func (b *Bencher) dropCaches(ctx context.Context) error {
	if !b.DropCaches {
		return nil
	}
	_, err := b.Host.Run(ctx, host.Command{Argv: []string{"sh", "-c", "sync; echo 3 >/proc/sys/vm/drop_caches"}, Root: true})
	if err != nil {
		return fmt.Errorf("empty the page cache: %w", err)
	}
	return nil
}
