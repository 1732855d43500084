package bench

import (
	"slices"
	"testing"
	"time"
)

func TestNoiseIsToldOnceForEachKindOfIt(t *testing.T) {
	row := func(m Metric, method string, noise ...*Noise) Row {
		r := NewRow(m, method)
		for _, n := range noise {
			r.Add(Sample{Value: 1, Noise: n})
		}
		return r
	}
	r := Result{Box: Box{Cores: 2}, Rows: []Row{
		row(RabbitMQFirst, MethodAlone, &Noise{Load: 3.14}, &Noise{Load: 1.9, Throttled: 2}),
		row(RedisLater, MethodAlone, nil, &Noise{Load: 9.96, SwapOut: 2561}),
		row(ColdDeploy, MethodScratch, &Noise{Load: 12}),
		row(AppBoot, MethodAlone, &Noise{Load: 2, Steal: 5}),
	}}
	want := []string{
		"RabbitMQ, first boot; Redis, later boots: the box was busy (load 3.1 to 10.0 on 2 cores)",
		"Redis, later boots: 10 MB were swapped",
		"RabbitMQ, first boot: the CPU was throttled, it ran hot",
	}
	if got := r.noise(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	r.Rows = append(r.Rows, row(AppFirst, MethodAlone, &Noise{Load: 4}), row(WorkerBoot, MethodAlone, &Noise{Load: 4}))
	if got, want := r.noise()[0], "RabbitMQ, first boot and 3 more: the box was busy (load 3.1 to 10.0 on 2 cores)"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestBootsAreCountedAndTheirTimeReckoned(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	p := pace{planned: 4, began: at}
	for _, want := range []string{
		"boot 1 of 4, redis: first boot",
		"boot 2 of 4, redis: first boot",
		"boot 3 of 4, redis: first boot; about 1 min 20 s left for the boots",
		"boot 4 of 4, redis: first boot; about 40 s left for the boots",
		// One more than was planned, because something had to begin again.
		"boot 5 of 4, redis: first boot",
	} {
		if got := p.next("redis: first boot", at); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		at = at.Add(40 * time.Second)
	}
}
