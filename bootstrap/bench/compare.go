package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// Verdict is what a comparison came to.
type Verdict string

// The verdicts. TooFew says that not even the clearest order of so few runs
// would pass the rank test.
const (
	Better Verdict = "better"
	Worse  Verdict = "worse"
	AsGood Verdict = "as-documented"
	Chance Verdict = "noise"
	TooFew Verdict = "too-few-runs"
)

const (
	// alpha is the probability of calling noise a change. Three runs against
	// three can show 1 in 10 at best, which is what a default run has.
	alpha = 0.1
	// tolerance is how far from a figure that is "about" so much a measured one
	// may lie and still be the documented one: it was published in round
	// numbers, of single runs.
	tolerance = 0.15
)

// Comparison is a row against the same row of another result.
type Comparison struct {
	// With says which result it is, At when that was measured.
	With   string    `json:"with" jsonschema_description:"Which result it is compared with."`
	At     time.Time `json:"at"`
	Median float64   `json:"median"`
	// Change is in percent of the other median.
	Change  float64 `json:"changePercent"`
	P       float64 `json:"p" jsonschema_description:"Probability of such an order by chance (Mann-Whitney, exact for small samples)."`
	Verdict Verdict `json:"verdict" jsonschema:"enum=better,enum=worse,enum=noise,enum=too-few-runs"`
}

// Against compares two rows of one metric and method. It returns nil where
// there is nothing to compare.
func (r Row) Against(other Row, with string, at time.Time) *Comparison {
	if !r.Measured() || !other.Measured() || r.Method != other.Method || r.Unit != other.Unit {
		return nil
	}
	c := &Comparison{With: with, At: at, Median: other.Median, P: MannWhitney(other.Values(), r.Values())}
	if other.Median != 0 {
		c.Change = (r.Median/other.Median - 1) * 100
	}
	n, m := len(r.Samples), len(other.Samples)
	switch {
	case c.P <= alpha && (r.Median > other.Median) == r.HigherIsBetter:
		c.Verdict = Better
	case c.P <= alpha:
		c.Verdict = Worse
	case 2/splits(n+m, n) > alpha:
		c.Verdict = TooFew
	default:
		c.Verdict = Chance
	}
	return c
}

// judge says how a measured row relates to a published figure. Where the
// figure lies within what the runs showed, or near it, they agree.
func (r Row) judge(f *Figure) Verdict {
	if f == nil || !r.Measured() {
		return ""
	}
	low, high := f.Value*(1-tolerance), f.Value*(1+tolerance)
	if f.Bound == "below" {
		low, high = 0, f.Value
	}
	switch {
	case r.Max < low && !r.HigherIsBetter, r.Min > high && r.HigherIsBetter:
		return Better
	case r.Min > high && !r.HigherIsBetter, r.Max < low && r.HigherIsBetter:
		return Worse
	}
	return AsGood
}

// Document puts the published figures and the user's own beside the rows.
func (r *Result) Document(published, own []profiles.Documented) {
	for i := range r.Rows {
		row := &r.Rows[i]
		row.Documented = figureOf(row.Metric, published)
		row.Verdict = row.judge(row.Documented)
	}
	r.Baseline(own)
}

// Baseline puts the user's own figures beside the rows.
func (r *Result) Baseline(own []profiles.Documented) {
	for i := range r.Rows {
		r.Rows[i].Baseline = figureOf(r.Rows[i].Metric, own)
	}
}

func figureOf(m Metric, from []profiles.Documented) *Figure {
	i := slices.IndexFunc(from, func(d profiles.Documented) bool { return d.Metric == string(m) })
	if i < 0 {
		return nil
	}
	d := from[i]
	return &Figure{Value: inUnit(m, d), Bound: d.Bound, Source: d.Source, Note: d.Note}
}

// inUnit converts the one unit that two are in use for.
func inUnit(m Metric, d profiles.Documented) float64 {
	if def, _ := Define(m); def.Unit == Gigabytes && d.Unit == "GiB" {
		return d.Value * (1 << 30) / 1e9
	}
	return d.Value
}

// Compare puts another result's figures beside the rows.
func (r *Result) Compare(other Result) {
	for i := range r.Rows {
		if row, ok := other.Row(r.Rows[i].Metric); ok {
			r.Rows[i].Last = r.Rows[i].Against(row, other.Name(), other.Started)
		}
	}
}

// CompareWithLast puts beside each row the newest figures of it that were
// measured before in the same way: the last result may have been of other rows.
func (r *Result) CompareWithLast(past []Result) {
	for i := range r.Rows {
		for _, old := range slices.Backward(past) {
			other, ok := old.Row(r.Rows[i].Metric)
			if !ok || old.Kind != r.Kind || !old.Started.Before(r.Started) {
				continue
			}
			if r.Rows[i].Last = r.Rows[i].Against(other, old.Name(), old.Started); r.Rows[i].Last != nil {
				break
			}
		}
	}
}

// Name tells results of one box apart.
func (r Result) Name() string {
	return fmt.Sprintf("%s %s", r.Host, r.Started.UTC().Format(time.DateTime))
}

// Regressions are the rows that are worse than the last ones by more than so
// many percent. Where there were too few runs for a rank test, the medians
// alone decide: a gate that only ever says "too few" would guard nothing.
func (r Result) Regressions(percent float64) []Row {
	var out []Row
	for _, row := range r.Rows {
		c := row.Last
		if c == nil || c.Verdict != Worse && c.Verdict != TooFew {
			continue
		}
		worse := c.Change
		if row.HigherIsBetter {
			worse = -worse
		}
		if worse > percent {
			out = append(out, row)
		}
	}
	return out
}
