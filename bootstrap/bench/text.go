package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Show formats a figure with its unit: three digits, and no more than were
// measured.
func Show(v float64, u Unit) string { return number(v) + " " + string(u) }

func number(v float64) string {
	digits := 0
	switch a := math.Abs(v); {
	case a == 0 || a >= 99.5:
	case a >= 9.95:
		digits = 1
	case a >= 0.995:
		digits = 2
	default:
		digits = 3
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// String is the figure as it was published: ~171 s, <10 s.
func (f *Figure) text(u Unit) string {
	if f == nil {
		return "–"
	}
	sign := "~"
	if f.Bound == "below" {
		sign = "<"
	}
	return sign + Show(f.Value, u)
}

// spread is the least and the most of the runs.
func (r Row) spread() string {
	if len(r.Samples) < 2 {
		return ""
	}
	return number(r.Min) + " to " + number(r.Max)
}

// says is the verdict in the words of the row's unit, with by how much.
func (r Row) says() string {
	if !r.Measured() || r.Documented == nil {
		return ""
	}
	if r.Verdict == AsGood {
		return "as documented"
	}
	word := map[Unit][2]string{Seconds: {"faster", "slower"}, Milliseconds: {"faster", "slower"}, Gigabytes: {"less", "more"}, Megabits: {"slower", "faster"}}[r.Unit]
	ratio := r.Median / r.Documented.Value
	if ratio < 1 {
		ratio = 1 / max(ratio, 1e-3)
		return fmt.Sprintf("%.1f× %s", ratio, word[0])
	}
	return fmt.Sprintf("%.1f× %s", ratio, word[1])
}

// short is the title for 80 columns.
func (r Row) short() string {
	d, _ := Define(r.Metric)
	return d.Short
}

// lately is the comparison with the last result in words.
func (r Row) lately() string {
	c := r.Last
	if c == nil {
		return ""
	}
	switch c.Verdict {
	case Better, Worse:
		return fmt.Sprintf("%s %+.0f %%", c.Verdict, c.Change)
	case TooFew:
		return fmt.Sprintf("%+.0f %%, too few runs to tell", c.Change)
	}
	return fmt.Sprintf("noise %+.0f %%", c.Change)
}
