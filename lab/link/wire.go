package link

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// wire is one way's shared limit and count.
type wire struct {
	limiter *rate.Limiter
	total   atomic.Int64
}

func newWire() *wire { return &wire{limiter: rate.NewLimiter(rate.Inf, window)} }

func (w *wire) rate() BitRate {
	if limit := w.limiter.Limit(); limit != rate.Inf {
		return BitRate(limit * 8)
	}
	return 0
}

// burstTime is how much an idle wire may catch up: enough for a late timer,
// too little to be seen in a measurement.
const burstTime = 100 * time.Millisecond

func (w *wire) setRate(r BitRate) {
	if r == 0 {
		w.limiter.SetLimit(rate.Inf)
		return
	}
	bytes := float64(r) / 8
	w.limiter.SetBurst(max(grain(r), int(bytes*burstTime.Seconds())))
	w.limiter.SetLimit(rate.Limit(bytes))
}

// grain is the piece in which bytes cross: ten milliseconds' worth, so that a
// slow wire trickles instead of gushing.
func grain(r BitRate) int {
	return min(max(512, int(r/8/100)), window/4)
}

// grain is the size of a piece at the wire's present rate.
func (w *wire) grain() int {
	if r := w.rate(); r != 0 {
		return grain(r)
	}
	return window / 4
}

// cross waits for n bytes' turn on the wire.
func (w *wire) cross(ctx context.Context, n int) error {
	// The rate may have sunk since the piece was read.
	for n > 0 {
		part := min(n, w.limiter.Burst())
		if err := w.limiter.WaitN(ctx, part); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue // the burst shrank between the two calls
		}
		n -= part
	}
	return nil
}
