package bench

import (
	"context"
	"errors"
)

// restarts times further boots of the release that serves, one component at a
// time; the user was told what stops. One that does not come back ends it: what
// serves comes before what is measured.
func (b *Bencher) restarts(ctx context.Context, o objects) (err error) {
	var chosen []component
	for _, c := range o.present() {
		if b.wants(c.later) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	w, err := b.Watch(ctx, b.Want.Namespace, rules(o.present()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stopWatch(ctx, w)) }()
	sw := &stopwatch{watch: w, cluster: b.Cluster, objects: o, stall: b.Want.Waits.Stall, kubernetes: askKubernetes}
	defer func() { b.clock = sw.clock }()
	for _, c := range chosen {
		if err := b.restartReal(ctx, sw, c); err != nil {
			if failed, alone := isBoot(err); alone {
				b.row(c.later, MethodRelease).Fail(failed.text, failed.evidence)
			}
			return lost(err)
		}
	}
	return nil
}

func (b *Bencher) restartReal(ctx context.Context, sw *stopwatch, c component) error {
	runs := b.runs(c.later)
	for run := range runs {
		b.Note(progress(c.name, "restart of the release's own", run, runs))
		if err := b.dropCaches(ctx); err != nil {
			return err
		}
		l, err := sw.boot(ctx, c, false, func(ctx context.Context) error {
			return restart(ctx, b.Cluster, instanceLabel+"="+b.Want.Name+","+componentLabel+"="+c.name)
		})
		if err != nil {
			return err
		}
		sample := l.sample(l.serves)
		sw.believes(ctx, c, &sample)
		b.row(c.later, MethodRelease).Add(sample)
	}
	return nil
}
