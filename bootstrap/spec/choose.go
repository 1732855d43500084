package spec

import (
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// Hardware is what a profile is chosen by. What is not known is zero.
type Hardware struct {
	MemoryBytes int64
	Cores       int
	// CPULevel is the x86-64 micro-architecture level, 1 to 4.
	CPULevel int
	CPUModel string
}

// String describes the hardware in the words of the sentence that explains the
// choice.
func (h Hardware) String() string {
	var parts []string
	if h.MemoryBytes > 0 {
		parts = append(parts, fmt.Sprintf("%.1f GiB of RAM", float64(h.MemoryBytes)/(1<<30)))
	}
	if h.Cores > 0 {
		parts = append(parts, fmt.Sprintf("%d cores", h.Cores))
	}
	switch {
	case h.CPUModel != "" && h.CPULevel > 0:
		parts = append(parts, fmt.Sprintf("a CPU of level x86-64-v%d (%s)", h.CPULevel, h.CPUModel))
	case h.CPULevel > 0:
		parts = append(parts, fmt.Sprintf("a CPU of level x86-64-v%d", h.CPULevel))
	}
	return strings.Join(parts, ", ")
}

// Choose returns the name of the profile that fits the hardware and a sentence
// that says why. Memory decides, because it is what a wrong profile breaks;
// waits are ended by silence and do no harm when they are too long. Where
// nothing fits, it is the profile for the least memory.
func Choose(list []profiles.Summary, hw Hardware) (name, why string) {
	least := list[0]
	for _, s := range list {
		if s.For.MinMemory < least.For.MinMemory {
			least = s
		}
	}
	if hw.MemoryBytes <= 0 {
		return least.Name, least.Name + ", the most cautious one, because the box's hardware is not known"
	}
	for _, s := range list {
		if fits(s.For, profiles.ByteSize(hw.MemoryBytes)) {
			return s.Name, fmt.Sprintf("%s, because the box has %s", s.Name, hw)
		}
	}
	return least.Name, fmt.Sprintf("%s, the one for the least memory, although the box has only %s", least.Name, hw)
}

func fits(f profiles.For, memory profiles.ByteSize) bool {
	return f != profiles.For{} && memory >= f.MinMemory && (f.MaxMemory == 0 || memory < f.MaxMemory)
}
