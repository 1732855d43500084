package report

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Table is text in columns. The last column is wrapped when the whole is wider
// than the terminal, so nothing is cut.
type Table struct {
	Head []string
	Rows [][]string
	// Right names the columns that are aligned to the right.
	Right []int
	// Indent is put before every line.
	Indent string
}

const gap = "  "

// Write prints the table within the given width.
func (t Table) Write(w io.Writer, width int) error {
	rows := t.Rows
	if len(t.Head) > 0 {
		rows = append([][]string{t.Head}, rows...)
	}
	widths := columns(rows)
	var b strings.Builder
	for _, row := range rows {
		t.line(&b, row, widths, width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func columns(rows [][]string) []int {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	return widths
}

func (t Table) line(b *strings.Builder, row []string, widths []int, width int) {
	var line strings.Builder
	line.WriteString(t.Indent)
	for i, cell := range row {
		if i > 0 {
			line.WriteString(gap)
		}
		if i < len(row)-1 || t.right(i) {
			line.WriteString(t.pad(i, cell, widths[i]))
			continue
		}
		at := runewidth.StringWidth(line.String())
		wrapped := Wrap(cell, max(width-at, 16))
		line.WriteString(strings.ReplaceAll(wrapped, "\n", "\n"+strings.Repeat(" ", at)))
	}
	b.WriteString(strings.TrimRight(line.String(), " "))
	b.WriteByte('\n')
}

func (t Table) pad(column int, cell string, width int) string {
	if t.right(column) {
		return runewidth.FillLeft(cell, width)
	}
	return runewidth.FillRight(cell, width)
}

func (t Table) right(column int) bool {
	for _, c := range t.Right {
		if c == column {
			return true
		}
	}
	return false
}

// Wrap breaks text at spaces so that no line is wider than width, except
// where one word is. Line breaks in the text stay.
func Wrap(s string, width int) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = wrapLine(line, width)
	}
	return strings.Join(lines, "\n")
}

func wrapLine(s string, width int) string {
	if runewidth.StringWidth(s) <= width {
		return s
	}
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(s) {
		n := runewidth.StringWidth(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteByte('\n')
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

// Truncate cuts text to width and shows that it did.
func Truncate(s string, width int) string { return runewidth.Truncate(s, width, "…") }
