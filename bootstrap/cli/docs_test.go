package cli

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

const outputDoc = "../../docs/output.md"

// TestGoldenOutputDocument holds each table of the document that is made from
// the code, so that a field, a kind, a status or a code cannot be new or gone
// unnoticed.
func TestGoldenOutputDocument(t *testing.T) {
	data, err := os.ReadFile(outputDoc)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, table := range map[string]string{
		"result":   fields(t, report.Result{}),
		"error":    fields(t, report.Failure{}),
		"events":   fields(t, report.Line{}),
		"changes":  fields(t, report.Change{}),
		"kinds":    kinds(),
		"statuses": statuses(),
		"codes":    errorCodes(),
	} {
		begin, end := "<!-- made from the code by `make golden`: "+name+" -->\n\n", "\n<!-- end -->\n"
		before, rest, found := strings.Cut(text, begin)
		_, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s has lost the marks of %s: %q … %q", outputDoc, name, begin, end)
		}
		text = before + begin + table + end + after
	}
	goldentest.Equal(t, outputDoc, text)
}

// fields lists the fields of what is written as JSON.
func fields(t *testing.T, of any) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Field | Meaning |\n|---|---|\n")
	for f := range reflect.TypeOf(of).Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		means := f.Tag.Get("means")
		if name == "" || means == "" {
			t.Errorf("%T.%s does not say what it means", of, f.Name)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, means)
	}
	return b.String()
}

func kinds() string {
	var b strings.Builder
	b.WriteString("| Kind | Meaning |\n|---|---|\n")
	for _, k := range step.Kinds() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", k.Kind, k.Means)
	}
	return b.String()
}

func statuses() string {
	var b strings.Builder
	b.WriteString("| Status | Meaning |\n|---|---|\n")
	for _, e := range fault.Exits() {
		fmt.Fprintf(&b, "| %d | %s |\n", e.Exit, e.Means)
	}
	return b.String()
}

func errorCodes() string {
	var b strings.Builder
	b.WriteString("| Code | Status | Meaning | What to do, where the error says nothing better |\n|---|---|---|---|\n")
	for _, e := range fault.Catalogue() {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", e.Code, e.Exit, e.Means, e.Next)
	}
	return b.String()
}

// TestEveryStatusOfTheCatalogueIsDocumented also holds that the program's own
// help tells of all of them.
func TestEveryStatusOfTheCatalogueIsDocumented(t *testing.T) {
	known := map[fault.Exit]bool{}
	for _, e := range fault.Exits() {
		known[e.Exit] = true
		if !strings.Contains(strings.ReplaceAll(about(), "\n", " "), fmt.Sprint(e.Exit, " ", e.Means)) {
			t.Errorf("the help does not tell of status %d", e.Exit)
		}
	}
	for _, e := range fault.Catalogue() {
		if !known[e.Exit] {
			t.Errorf("%s ends with %d, which is no documented status", e.Code, e.Exit)
		}
	}
}

// TestSymptomsThatAreCodesAreInTheCatalogue looks at the first column of the
// page that people come to with a code.
func TestSymptomsThatAreCodesAreInTheCatalogue(t *testing.T) {
	data, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, e := range fault.Catalogue() {
		known[string(e.Code)] = true
	}
	n := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)`(?: \\|| after)").FindAllStringSubmatch(string(data), -1) {
		n++
		if !known[m[1]] {
			t.Errorf("troubleshooting.md explains %s, which is no code", m[1])
		}
	}
	if n < 15 {
		t.Errorf("only %d codes are explained", n)
	}
}
