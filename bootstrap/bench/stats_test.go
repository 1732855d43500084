package bench

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 4}, 4}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := Median(c.of); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.of, got, c.want)
		}
	}
}

// The exact figures are those of the published tables of U, and of R's
// wilcox.test; where there are ties, all splits were counted by hand.
func TestMannWhitneyAgainstKnownValues(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []float64
		want float64
	}{
		{"nothing", nil, []float64{1}, 1},
		{"one against one", []float64{1}, []float64{2}, 1},
		{"two against two, apart", []float64{1, 2}, []float64{3, 4}, 2.0 / 6},
		{"three against three, apart", []float64{1, 2, 3}, []float64{4, 5, 6}, 2.0 / 20},
		{"three against three, one step in", []float64{1, 2, 4}, []float64{3, 5, 6}, 4.0 / 20},
		{"four against four, apart", []float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0 / 70},
		{"five against five, U=2", []float64{1, 2, 3, 4, 7}, []float64{5, 6, 8, 9, 10}, 8.0 / 252},
		{"three against five, apart", []float64{1, 2, 3}, []float64{4, 5, 6, 7, 8}, 2.0 / 56},
		{"all the same", []float64{5, 5, 5}, []float64{5, 5, 5}, 1},
		{"with a tie between", []float64{1, 2, 3}, []float64{3, 4, 5}, 4.0 / 20},
	} {
		for _, swap := range []bool{false, true} {
			a, b := c.a, c.b
			if swap {
				a, b = b, a
			}
			if got := MannWhitney(a, b); math.Abs(got-c.want) > 1e-12 {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	}
}

func TestLargeSamplesAreApproximatedAsTheExactCountHasIt(t *testing.T) {
	var a, b []float64
	for i := range 11 {
		a, b = append(a, float64(2*i)), append(b, float64(2*i+5))
	}
	ranks, ties := pooledRanks(a, b)
	sum := 0.0
	for _, r := range ranks[:len(a)] {
		sum += r
	}
	exact, approximate := exactP(ranks, len(a), sum), approximateP(len(a), len(b), sum, ties)
	if math.Abs(exact-approximate) > 0.01 {
		t.Errorf("exact %v, approximate %v", exact, approximate)
	}
	for i := range 30 {
		a, b = append(a, float64(100+i)), append(b, float64(100+i))
	}
	if p := MannWhitney(a, b); p < 0.3 || p > 1 {
		t.Errorf("41 against 41 that hardly differ: %v", p)
	}
}
