package report

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// evidenceLines bounds what is quoted from the box: its end says why.
const evidenceLines = 40

// WriteError prints a failure once, at the edge: what failed, what the box
// said, and the next command.
func WriteError(w io.Writer, err error, width int) {
	var b strings.Builder
	for i, e := range parts(err) {
		if i == 0 {
			fmt.Fprintln(&b, "error: "+indentRest(Clean(e.Error())))
			continue
		}
		fmt.Fprintln(&b, "  and: "+indentRest(Clean(e.Error())))
	}
	if evidence := strings.TrimSpace(Evidence(err)); evidence != "" {
		lines := strings.Split(Clean(evidence), "\n")
		if n := len(lines) - evidenceLines; n > 0 {
			fmt.Fprintf(&b, "  | … (%d lines left out)\n", n)
			lines = lines[n:]
		}
		for _, line := range lines {
			fmt.Fprintln(&b, strings.TrimRight("  | "+line, " "))
		}
	}
	if next := fault.NextOf(err); next != "" {
		fmt.Fprintln(&b, "try: "+strings.ReplaceAll(Wrap(next, max(width-5, 30)), "\n", "\n     "))
	}
	_, _ = io.WriteString(w, b.String())
}

// Evidence is what the box or the network said about a failure.
func Evidence(err error) string {
	if s := fault.EvidenceOf(err); s != "" {
		return s
	}
	var c *host.CommandError
	if errors.As(err, &c) {
		return c.Stderr
	}
	return ""
}

// parts takes joined errors apart, so that each gets a line.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, parts(e)...)
	}
	return out
}

func indentRest(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") }
