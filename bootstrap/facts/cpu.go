package facts

import "slices"

// levels lists, as /proc/cpuinfo names them, the flags that each x86-64 level
// adds to the one below. Level 1 is what every 64-bit PC has.
func levels() [][]string {
	return [][]string{
		2: {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
		3: {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
		4: {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
	}
}

// level returns the highest level whose flags are all there, and the flags
// that are missing from the next one.
func level(flags []string) (int, []string) {
	steps := levels()
	for l := 2; l < len(steps); l++ {
		var lacks []string
		for _, f := range steps[l] {
			if !slices.Contains(flags, f) {
				lacks = append(lacks, f)
			}
		}
		if len(lacks) > 0 {
			return l - 1, lacks
		}
	}
	return len(steps) - 1, nil
}
