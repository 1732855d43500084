package bench

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

// The bars: so many columns stand for the documented figure, and so many are
// the most that is drawn.
const (
	barWidth = 8
	mostBar  = 12
)

// WriteTable prints the result for a terminal: a line per row, with a bar that
// is as long against the documented figure's mark as the figure is.
func (r Result) WriteTable(w io.Writer, width int) error {
	t := report.Table{Head: []string{"", "MEASURED", "DOCUMENTED", "", "VERDICT"}, Right: []int{1, 2}}
	for _, row := range r.Rows {
		t.Rows = append(t.Rows, row.line())
	}
	var b strings.Builder
	// Wide enough for nothing to be wrapped: each row is one line then.
	if err := narrow(t, width).Write(&b, 1<<10); err != nil {
		return err
	}
	lines := strings.Split(b.String(), "\n")
	fmt.Fprintln(w, lines[0])
	for i, row := range r.Rows {
		fmt.Fprintln(w, lines[i+1])
		for _, more := range row.more() {
			fmt.Fprintln(w, indent(report.Wrap(report.Clean(more), width-4)))
		}
	}
	return r.writeNotes(w, width)
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// line is the row's own line.
func (r Row) line() []string {
	if !r.Measured() {
		return []string{r.short(), "–", r.Documented.text(r.Unit), "", "not measured"}
	}
	return []string{r.short(), Show(r.Median, r.Unit), r.Documented.text(r.Unit), r.bar(), r.says()}
}

// bar draws the figure against the documented one, whose end is marked.
func (r Row) bar() string {
	if r.Documented == nil || r.Documented.Value <= 0 {
		return ""
	}
	n := int(math.Round(r.Median / r.Documented.Value * barWidth))
	cells := []rune(strings.Repeat("█", min(max(n, 1), mostBar)) + strings.Repeat(" ", max(0, mostBar-max(n, 1))))
	if n <= barWidth {
		cells[barWidth] = '│'
	}
	if n > mostBar {
		cells[mostBar-1] = '▶'
	}
	return strings.TrimRight(string(cells), " ")
}

// more are the lines below a row: its spread, what Kubernetes believes, the
// last result, and why there is nothing.
func (r Row) more() []string {
	var out []string
	if r.Failure != nil {
		out = append(out, r.Failure.Text)
	}
	var facts []string
	if s := r.spread(); s != "" {
		facts = append(facts, fmt.Sprintf("%d runs, %s", len(r.Samples), s))
	}
	if k := r.kubelet(); k != "" {
		facts = append(facts, k)
	}
	if r.Baseline != nil && r.Measured() {
		facts = append(facts, "yours "+r.Baseline.text(r.Unit))
	}
	if l := r.lately(); l != "" {
		facts = append(facts, "since last: "+l)
	}
	if len(facts) > 0 {
		out = append(out, strings.Join(facts, "; "))
	}
	return out
}

// kubelet is what Kubernetes believed, where it differs by more than its own
// whole seconds.
func (r Row) kubelet() string {
	var believed []float64
	period := 0.0
	for _, s := range r.Samples {
		if s.Kubelet != nil {
			believed = append(believed, *s.Kubelet)
			period = s.Probe
		}
	}
	if len(believed) == 0 {
		return ""
	}
	m := Median(believed)
	if math.Abs(m-r.Median) <= 1 {
		return fmt.Sprintf("Kubernetes agrees (%.0f s)", m)
	}
	if period > 0 {
		return fmt.Sprintf("Kubernetes says %.0f s, asking every %.0f s", m, period)
	}
	return fmt.Sprintf("Kubernetes says %.0f s", m)
}

// narrow gives up the bars where the terminal has no room for them.
func narrow(t report.Table, width int) report.Table {
	if width >= 76 {
		return t
	}
	for i, row := range t.Rows {
		if len(row) == 5 {
			t.Rows[i] = []string{row[0], row[1], row[2], row[4]}
		}
	}
	t.Head = []string{"", "MEASURED", "DOCUMENTED", "VERDICT"}
	return t
}

// writeNotes prints evidence of failures, and what makes figures uncertain.
func (r Result) writeNotes(w io.Writer, width int) error {
	var b strings.Builder
	for _, row := range r.Rows {
		if row.Failure != nil && row.Failure.Evidence != "" {
			fmt.Fprintf(&b, "\n%s\n", row.Title)
			for line := range strings.Lines(report.Clean(row.Failure.Evidence)) {
				fmt.Fprintf(&b, "  | %s\n", strings.TrimRight(line, "\n"))
			}
		}
	}
	if len(r.Warnings) > 0 {
		b.WriteByte('\n')
	}
	for _, text := range r.Warnings {
		b.WriteString(report.Wrap("warning: "+text, width) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
