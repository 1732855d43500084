package bench

import (
	"cmp"
	"math"
	"slices"
)

// Median returns the middle of the values, 0 for none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// exactUpTo bounds the number of ways to split the values that are counted one
// by one; 12 against 12 are 2.7 million.
const exactUpTo = 3_000_000

// MannWhitney returns the two-sided probability that two samples of one
// distribution differ in rank as much as these or more. Small samples are
// counted exactly, ties included: every way to split the pooled ranks is
// looked at. Larger ones use the normal approximation with the correction for
// ties. With an empty sample the answer is 1.
func MannWhitney(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 1
	}
	ranks, ties := pooledRanks(a, b)
	sum := 0.0
	for _, r := range ranks[:len(a)] {
		sum += r
	}
	if splits(len(a)+len(b), len(a)) <= exactUpTo {
		return exactP(ranks, len(a), sum)
	}
	return approximateP(len(a), len(b), sum, ties)
}

// pooledRanks returns the ranks of a and then b among all, equal values
// sharing the middle of theirs, and the sum of t³−t over the groups of ties.
func pooledRanks(a, b []float64) ([]float64, float64) {
	all := slices.Concat(a, b)
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(all[x], all[y]) })
	ranks, ties := make([]float64, len(all)), 0.0
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && all[order[to]] == all[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			ranks[i] = float64(from+1+to) / 2
		}
		t := float64(to - from)
		ties += t*t*t - t
		from = to
	}
	return ranks, ties
}

func splits(n, k int) float64 {
	out := 1.0
	for i := range k {
		out *= float64(n-i) / float64(i+1)
	}
	return math.Round(out)
}

// exactP counts the splits whose rank sum is as far from the middle as sum.
func exactP(ranks []float64, k int, sum float64) float64 {
	middle := float64(k) * float64(len(ranks)+1) / 2
	far := math.Abs(sum - middle)
	extreme, all := 0.0, 0.0
	var walk func(from, left int, have float64)
	walk = func(from, left int, have float64) {
		if left == 0 {
			all++
			// Ranks are halves, so a quarter is between any two sums.
			if math.Abs(have-middle) >= far-0.25 {
				extreme++
			}
			return
		}
		for i := from; i <= len(ranks)-left; i++ {
			walk(i+1, left-1, have+ranks[i])
		}
	}
	walk(0, k, 0)
	return extreme / all
}

func approximateP(n, m int, sum, ties float64) float64 {
	fn, fm, all := float64(n), float64(m), float64(n+m)
	middle := fn * (all + 1) / 2
	variance := fn * fm / 12 * ((all + 1) - ties/(all*(all-1)))
	if variance <= 0 {
		return 1
	}
	z := max(0, math.Abs(sum-middle)-0.5) / math.Sqrt(variance)
	return math.Erfc(z / math.Sqrt2)
}
