package bench

import (
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown prints the table in the shape of the documented one, with the
// documented figures beside the measured ones.
func (r Result) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| Metric | Measured | Documented | |\n|---|---|---|---|\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", escape(row.Title), row.measuredCell(), row.Documented.text(row.Unit), row.says())
	}
	fmt.Fprintf(&b, "\nMeasured %s on %s: %s, %d cores, %.1f GiB, kernel %s, k3s %s, profile %s.\n",
		r.Started.UTC().Format("2006-01-02 15:04 UTC"), escape(r.Box.Name), escape(strings.Join(strings.Fields(r.Box.CPU), " ")),
		r.Box.Cores, float64(r.Box.MemoryBytes)/(1<<30), escape(r.Box.Kernel), escape(r.Versions.K3s), escape(r.Versions.Profile))
	for _, text := range r.Warnings {
		fmt.Fprintf(&b, "\nWarning: %s.\n", escape(text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// measuredCell is the median, and the spread where there were several runs.
func (r Row) measuredCell() string {
	if !r.Measured() {
		return "not measured"
	}
	cell := Show(r.Median, r.Unit)
	if r.Metric == DiskUsed && len(r.Parts) > 0 {
		cell += " / " + Show(r.Parts[0].Value, r.Parts[0].Unit)
	}
	if s := r.spread(); s != "" {
		cell += fmt.Sprintf(" (%s, %d runs)", s, len(r.Samples))
	}
	return cell
}

// escape keeps a text within its cell and from being markup.
func escape(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;", "*", "\\*", "_", "\\_", "`", "\\`").Replace(s)
}
