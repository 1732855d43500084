package bench

import "fmt"

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

// complaints says in words what was loud.
func (n *Noise) complaints(cores int) []string {
	if n == nil {
		return nil
	}
	var out []string
	if cores > 0 && n.Load > float64(cores) {
		out = append(out, fmt.Sprintf("the box was busy (load %.1f on %d cores)", n.Load, cores))
	}
	if n.Steal > muchSteal {
		out = append(out, fmt.Sprintf("a hypervisor took %.0f %% of the CPU time", n.Steal))
	}
	if n.SwapIn+n.SwapOut > muchSwap {
		out = append(out, fmt.Sprintf("%.0f MB were swapped", (n.SwapIn+n.SwapOut)*4096/1e6))
	}
	if n.Throttled > 0 {
		out = append(out, "the CPU was throttled, it ran hot")
	}
	return out
}
