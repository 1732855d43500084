package bench

import (
	"fmt"
	"math"
	"slices"
)

// counters are the box's own, as the observer reads them at each moment.
type counters struct {
	Load      float64 `json:"load"`
	Jiffies   float64 `json:"jiffies"`
	Steal     float64 `json:"steal"`
	SwapIn    float64 `json:"swapIn"`
	SwapOut   float64 `json:"swapOut"`
	Throttled float64 `json:"throttled"`
	// Own is the observer's CPU time, in seconds.
	Own float64 `json:"own"`
}

// Noise is what else went on during a measurement.
type Noise struct {
	// Load is the box's load before it began.
	Load float64 `json:"load" jsonschema_description:"Load average of a minute when the container started."`
	// Steal is the share of all CPU time that a hypervisor took, in percent.
	Steal     float64 `json:"stealPercent,omitempty"`
	SwapIn    float64 `json:"swapInPages,omitempty"`
	SwapOut   float64 `json:"swapOutPages,omitempty"`
	Throttled float64 `json:"thermalThrottles,omitempty"`
	// Observer is the share of all CPU time that observing took, in percent.
	Observer float64 `json:"observerPercent,omitempty"`
}

// hertz is the kernel's unit of CPU time for programs, 1/100 s on x86.
const hertz = 100

// between is the noise from one moment to a later one.
func between(from, to counters) *Noise {
	n := &Noise{
		Load: from.Load, SwapIn: to.SwapIn - from.SwapIn, SwapOut: to.SwapOut - from.SwapOut, Throttled: to.Throttled - from.Throttled,
	}
	if all := to.Jiffies - from.Jiffies; all > 0 {
		n.Steal = (to.Steal - from.Steal) / all * 100
		n.Observer = (to.Own - from.Own) * hertz / all * 100
	}
	return n
}

// Where noise begins to matter.
const (
	muchSteal = 5.0  // percent
	muchSwap  = 2560 // pages: 10 MB
)

// A disturbance is a kind of noise and how it is told of, with the least and the
// most of it that was seen.
type disturbance struct {
	// of is how much of it there is in a sample, and whether that matters.
	of   func(n *Noise, cores int) (amount float64, matters bool)
	text func(least, most float64, cores int) string
}

func disturbances() []disturbance {
	return []disturbance{
		{
			func(n *Noise, cores int) (float64, bool) { return n.Load, cores > 0 && n.Load > float64(cores) },
			func(least, most float64, cores int) string {
				return fmt.Sprintf("the box was busy (load %s on %d cores)", span("%.1f", least, most), cores)
			},
		},
		{
			func(n *Noise, _ int) (float64, bool) { return n.Steal, n.Steal > muchSteal },
			func(least, most float64, _ int) string {
				return fmt.Sprintf("a hypervisor took %s %% of the CPU time", span("%.0f", least, most))
			},
		},
		{
			func(n *Noise, _ int) (float64, bool) { return n.SwapIn + n.SwapOut, n.SwapIn+n.SwapOut > muchSwap },
			func(least, most float64, _ int) string {
				return span("%.0f", least*pageSize/1e6, most*pageSize/1e6) + " MB were swapped"
			},
		},
		{
			func(n *Noise, _ int) (float64, bool) { return n.Throttled, n.Throttled > 0 },
			func(float64, float64, int) string { return "the CPU was throttled, it ran hot" },
		},
	}
}

const pageSize = 4096 // bytes, on x86

// span writes two numbers, or one where both look the same.
func span(format string, least, most float64) string {
	a, b := fmt.Sprintf(format, least), fmt.Sprintf(format, most)
	if a == b {
		return a
	}
	return a + " to " + b
}

// seen says in one line what a disturbance did to which rows, and nothing where
// there was none of it.
func (d disturbance) seen(rows []Row, cores int) string {
	var names []string
	least, most := math.Inf(1), math.Inf(-1)
	for _, row := range rows {
		if row.Method == MethodScratch {
			continue // a cold deploy is what loads the box
		}
		for _, s := range row.Samples {
			if s.Noise == nil {
				continue
			}
			amount, matters := d.of(s.Noise, cores)
			if !matters {
				continue
			}
			least, most = min(least, amount), max(most, amount)
			if !slices.Contains(names, row.short()) {
				names = append(names, row.short())
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return join(names) + ": " + d.text(least, most, cores)
}
