package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// coldDeploys brings up a whole scratch release from nothing, as often as asked.
func (b *Bencher) coldDeploys(ctx context.Context, s *scratch, sw *stopwatch) error {
	runs := b.runs(ColdDeploy)
	for run := range runs {
		for _, c := range s.objects.present() {
			if err := s.remove(ctx, c); err != nil {
				return err
			}
		}
		b.Note(progress("all pods", "cold deploy", run, runs))
		if err := b.dropCaches(ctx); err != nil {
			return err
		}
		sample, timeline, err := b.coldDeploy(ctx, s, sw)
		if failed, alone := isBoot(err); alone {
			b.row(ColdDeploy, MethodScratch).Fail(failed.text, failed.evidence)
			return nil
		}
		if err != nil {
			b.row(ColdDeploy, MethodScratch).Fail(err.Error(), "")
			return err
		}
		b.row(ColdDeploy, MethodScratch).Add(sample)
		b.timeline = timeline
	}
	return nil
}

// coldDeploy makes everything at once and waits until all of it serves and
// Kubernetes knows.
func (b *Bencher) coldDeploy(ctx context.Context, s *scratch, sw *stopwatch) (Sample, *Timeline, error) {
	// What was seen so far belongs to the boots before.
	seen, err := sw.watch.Next(ctx)
	if err != nil {
		return Sample{}, nil, err
	}
	sw.clock.add(seen)
	zero, err := sw.watch.Uptime(ctx)
	if err != nil {
		return Sample{}, nil, err
	}
	d := newDeployment(s.objects.present(), zero)
	for _, c := range s.objects.present() {
		if err := s.begin(ctx, c); err != nil {
			return Sample{}, nil, err
		}
	}
	moved, asked := time.Now(), time.Now()
	for !d.served() {
		seen, err := sw.watch.Next(ctx)
		if err != nil {
			return Sample{}, nil, err
		}
		sw.clock.add(seen)
		if d.take(seen) {
			moved = time.Now()
		}
		if time.Since(moved) > sw.stall {
			c := d.worst()
			return Sample{}, nil, sw.failed(ctx, c, fmt.Sprintf("%s did not serve within %s", c.name, sw.stall))
		}
		if time.Since(asked) > sw.kubernetes {
			for _, c := range d.waiting() {
				if why := sw.trouble(ctx, c); why != "" {
					return Sample{}, nil, sw.failed(ctx, c, why)
				}
			}
			asked = time.Now()
		}
	}
	return sw.allReady(ctx, d)
}

// allReady waits until Kubernetes finds all pods Ready. That moment is known
// to a second only; it is laid over the observer's time by the box's own two
// clocks.
func (s *stopwatch) allReady(ctx context.Context, d *deployment) (Sample, *Timeline, error) {
	limit, cancel := context.WithTimeout(ctx, s.stall)
	defer cancel()
	for {
		pods, err := s.cluster.Client.CoreV1().Pods(s.cluster.Namespace).List(limit, metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 && !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return readyTime(p).IsZero() }) {
			now, err := s.watch.Uptime(ctx)
			if err != nil {
				return Sample{}, nil, err
			}
			sample, timeline := d.result(pods.Items, s.clock, now)
			return sample, timeline, nil
		}
		select {
		case <-limit.Done():
			if ctx.Err() != nil {
				return Sample{}, nil, context.Cause(ctx)
			}
			return Sample{}, nil, &bootError{text: "all pods serve, and Kubernetes does not find all of them Ready"}
		case <-time.After(s.kubernetes / 2):
		}
	}
}

// deployment is a whole release on its way up.
type deployment struct {
	// zero is the box's uptime before the first object was made.
	zero  float64
	of    []component
	times map[string]*podTimes
	ids   map[string]string
	open  map[string]Sighting
	first counters
	last  counters
	error float64
}

func newDeployment(of []component, zero float64) *deployment {
	d := &deployment{of: of, zero: zero, times: map[string]*podTimes{}, ids: map[string]string{}, open: map[string]Sighting{}}
	for _, c := range of {
		d.times[c.name] = &podTimes{component: c.name}
	}
	return d
}

// take notes what was seen; times are the box's until the end.
func (d *deployment) take(seen []Sighting) bool {
	for _, x := range seen {
		c, main := d.whose(x)
		if c == nil {
			continue
		}
		t := d.times[c.name]
		switch {
		case x.What == sawStarted && main && t.started == 0:
			t.started, d.ids[c.name] = x.At, x.ID
			if d.first.Jiffies == 0 {
				d.first = x.counters
			}
		case x.What == sawServes && x.Rule == c.rule.Name && t.serves == 0:
			t.serves, d.last, d.error = x.At, x.counters, max(d.error, x.Error)
		case x.What == sawStarted && !main:
			d.open[x.ID] = x
		case x.What == sawEnded && !main && d.open[x.ID].What != "":
			t.inits = append(t.inits, Span{Phase: PhaseInit, Name: x.Container, From: d.open[x.ID].At, To: x.At})
		}
	}
	return len(seen) > 0
}

// whose finds the component that a container belongs to: its own, or by the
// pod of its init containers.
func (d *deployment) whose(x Sighting) (*component, bool) {
	for i, c := range d.of {
		if x.Container == c.rule.Container && (c.rule.Pod == "" || strings.Contains(x.Pod, c.rule.Pod)) {
			return &d.of[i], true
		}
	}
	best := -1
	for i, c := range d.of {
		// The application's pod is named after the release alone, the worker's
		// after the release and itself.
		if strings.Contains(x.Pod, "-"+c.name+"-") || best < 0 && c.name == "app" && x.Container != "" {
			best = i
		}
	}
	if best < 0 {
		return nil, false
	}
	return &d.of[best], false
}

func (d *deployment) served() bool { return len(d.waiting()) == 0 }

func (d *deployment) waiting() []component {
	return slices.DeleteFunc(slices.Clone(d.of), func(c component) bool { return d.times[c.name].serves != 0 })
}

// worst is the first of those that others wait for.
func (d *deployment) worst() component { return d.waiting()[0] }

// result reckons everything from the making of the first object. now is the
// box's uptime at which all were seen Ready, for what Kubernetes writes cannot
// be believed when somebody set the clock.
func (d *deployment) result(pods []corev1.Pod, k clock, now float64) (Sample, *Timeline) {
	ready := map[string]float64{}
	for _, p := range pods {
		at := seconds(readyTime(p)) - k.first
		if k.jumped() != 0 || at > now {
			at = now
		}
		ready[p.Labels[componentLabel]] = at
	}
	t := &Timeline{Method: MethodSeen}
	for _, c := range d.of {
		x := *d.times[c.name]
		x.started, x.serves = x.started-d.zero, x.serves-d.zero
		x.ready = max(ready[c.name]-d.zero, x.serves)
		x.inits = slices.Clone(x.inits)
		for i := range x.inits {
			x.inits[i].From, x.inits[i].To = round(x.inits[i].From-d.zero), round(x.inits[i].To-d.zero)
		}
		x.started, x.serves, x.ready = round(x.started), round(x.serves), round(x.ready)
		t.Spans = append(t.Spans, x.spans()...)
		t.Seconds = max(t.Seconds, x.ready)
	}
	t.sort()
	// Kubernetes writes whole seconds.
	return Sample{Value: t.Seconds, Error: round(1 + d.error), Noise: between(d.first, d.last)}, t
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
