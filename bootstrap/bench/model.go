// Package bench measures a box against the documented table.
//
// It keeps the promise that every figure was measured on this box and says
// how: a boot is timed on the box itself, from the moment the container's own
// program runs to the first answer of its protocol, with the bound of its
// error; nothing that serves is touched unless asked; and what is called
// better or worse passed a rank test.
package bench

import (
	"slices"
	"time"
)

// Format is the version of the result's shape; it grows when a reader of the
// old shape would misread the new one.
const Format = 1

// Kind says which command made a result.
type Kind string

// The kinds of results.
const (
	KindBench   Kind = "bench"
	KindInstall Kind = "install"
)

// Result is one measurement of one box, as it is kept and printed.
type Result struct {
	Format   int       `json:"format" jsonschema_description:"Version of this shape."`
	Kind     Kind      `json:"kind" jsonschema:"enum=bench,enum=install" jsonschema_description:"Which command measured."`
	Host     string    `json:"host" jsonschema_description:"What the user calls the box."`
	Started  time.Time `json:"started" jsonschema_description:"By this computer's clock."`
	Took     float64   `json:"tookSeconds"`
	Box      Box       `json:"box"`
	Versions Versions  `json:"versions"`
	Settings Settings  `json:"settings"`
	Rows     []Row     `json:"rows" jsonschema_description:"One per metric, in the table's order."`
	Timeline *Timeline `json:"timeline,omitempty" jsonschema_description:"The cold deploy, or the first deployment, moment by moment."`
	Warnings []string  `json:"warnings,omitempty" jsonschema_description:"What makes the figures less certain."`
}

// Box is the hardware and system that was measured.
type Box struct {
	Name         string `json:"name"`
	BootID       string `json:"bootID,omitempty"`
	CPU          string `json:"cpu"`
	Cores        int    `json:"cores"`
	MemoryBytes  int64  `json:"memoryBytes"`
	Kernel       string `json:"kernel"`
	Distribution string `json:"distribution"`
}

// Versions are of everything that may make a difference.
type Versions struct {
	Tool    string `json:"tool"`
	Profile string `json:"profile"`
	K3s     string `json:"k3s,omitempty"`
	Runtime string `json:"runtime,omitempty"`
	// Images are the digests by the names that the chart gives them.
	Images map[string]string `json:"images,omitempty"`
}

// Settings are how it was measured.
type Settings struct {
	Runs       int  `json:"runs,omitempty" jsonschema_description:"Runs asked for; 0 is the default: 3, and 1 of what takes minutes."`
	DropCaches bool `json:"dropCaches,omitempty" jsonschema_description:"The page cache was emptied before each boot."`
	Real       bool `json:"realRelease,omitempty" jsonschema_description:"Further boots were those of the release that serves."`
	Stopped    bool `json:"stoppedRelease,omitempty" jsonschema_description:"The release was stopped to make room."`
}

// Figure is one that somebody published or expects.
type Figure struct {
	Value  float64 `json:"value"`
	Bound  string  `json:"bound,omitempty" jsonschema:"enum=about,enum=below"`
	Source string  `json:"source,omitempty"`
	Note   string  `json:"note,omitempty"`
}

// Row is one metric's figures. Without samples it says why there are none.
type Row struct {
	Metric         Metric `json:"metric"`
	Title          string `json:"title"`
	Unit           Unit   `json:"unit" jsonschema:"enum=s,enum=ms,enum=GB,enum=Mbit/s"`
	HigherIsBetter bool   `json:"higherIsBetter,omitempty"`
	// Method is how it was measured, for figures are only compared with those
	// of the same method.
	Method  string   `json:"method,omitempty" jsonschema_description:"How it was measured; only figures of one method are compared."`
	Samples []Sample `json:"samples,omitempty"`
	Median  float64  `json:"median,omitempty"`
	Min     float64  `json:"min,omitempty"`
	Max     float64  `json:"max,omitempty"`
	// Parts are what the figure is made of, or what was seen beside it.
	Parts      []Part      `json:"parts,omitempty"`
	Documented *Figure     `json:"documented,omitempty"`
	Verdict    Verdict     `json:"verdict,omitempty" jsonschema_description:"Against the documented figure."`
	Baseline   *Figure     `json:"baseline,omitempty" jsonschema_description:"The user's own figure beside the documented one."`
	Last       *Comparison `json:"last,omitempty" jsonschema_description:"Against the last result of this box."`
	Failure    *Failure    `json:"failure,omitempty" jsonschema_description:"Why there is no figure."`
}

// Part is one of the figures beside a row's own, in the unit it names.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  Unit    `json:"unit"`
}

// Sample is one run of one metric.
type Sample struct {
	Value float64 `json:"value"`
	// Error bounds how far the moments were from where they were seen.
	Error float64 `json:"error,omitempty" jsonschema_description:"Bound of the error, in the row's unit; each moment is seen at the next look."`
	// Kubelet is what Kubernetes believes, whole seconds, and Probe the period
	// of the probe that it asks.
	Kubelet *float64 `json:"kubelet,omitempty" jsonschema_description:"Start to Ready as Kubernetes knows it: whole seconds, and only as often as the probe asks."`
	Probe   float64  `json:"probePeriod,omitempty" jsonschema_description:"Seconds between two questions of the probe."`
	Crashes int      `json:"crashes,omitempty" jsonschema_description:"Starts that failed before the one that served."`
	Noise   *Noise   `json:"noise,omitempty"`
	Parts   []Part   `json:"parts,omitempty"`
}

// Failure is why a row has no figure.
type Failure struct {
	Text     string `json:"text"`
	Evidence string `json:"evidence,omitempty"`
}

// NewRow returns the empty row of a metric.
func NewRow(m Metric, method string) Row {
	d, ok := Define(m)
	if !ok {
		// Only constants of this package come here.
		panic("no such metric: " + string(m))
	}
	return Row{Metric: m, Title: d.Title, Unit: d.Unit, HigherIsBetter: d.HigherIsBetter, Method: method}
}

// Add puts a sample into the row and reckons its figures anew.
func (r *Row) Add(s Sample) {
	r.Samples = append(r.Samples, s)
	v := r.Values()
	r.Median, r.Min, r.Max = Median(v), slices.Min(v), slices.Max(v)
}

// Fail notes why there is no figure, or why there are fewer.
func (r *Row) Fail(text, evidence string) { r.Failure = &Failure{text, evidence} }

// Measured reports whether the row has a figure.
func (r Row) Measured() bool { return len(r.Samples) > 0 }

// Values are the samples' figures, in the order of the runs.
func (r Row) Values() []float64 {
	out := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		out[i] = s.Value
	}
	return out
}

// Row returns the row of a metric.
func (r Result) Row(m Metric) (Row, bool) {
	i := slices.IndexFunc(r.Rows, func(x Row) bool { return x.Metric == m })
	if i < 0 {
		return Row{}, false
	}
	return r.Rows[i], true
}

// sorted puts the rows into the table's order.
func (r *Result) sort() {
	order := MetricNames()
	slices.SortStableFunc(r.Rows, func(a, b Row) int {
		return slices.Index(order, string(a.Metric)) - slices.Index(order, string(b.Metric))
	})
}
