package cli

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

const outputDoc = "../../docs/output.md"

func TestEveryErrorCodeIsDocumented(t *testing.T) {
	const marker = "<!-- Written by `make golden` from the catalogue. -->\n"
	data, err := os.ReadFile(outputDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(data), marker)
	if !found {
		t.Fatalf("%s has lost the marker %q", outputDoc, marker)
	}
	var want strings.Builder
	want.WriteString("\n| Code | Status | Meaning | What to do, where the error says nothing better |\n|---|---|---|---|\n")
	for _, e := range fault.Catalogue() {
		fmt.Fprintf(&want, "| `%s` | %d | %s | %s |\n", e.Code, e.Exit, e.Means, e.Next)
	}
	goldentest.Equal(t, outputDoc, before+marker+want.String())
}

func TestEveryFieldAndKindOfTheJSONOutputIsDocumented(t *testing.T) {
	data, err := os.ReadFile(outputDoc)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, v := range []any{report.Line{}, report.Change{}, report.Result{}, report.Failure{}} {
		for f := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	for _, k := range []step.Kind{step.RunStarted, step.StepStarted, step.StepNote, step.StepProgress, step.StepRetry, step.StepDone, step.StepUnchanged, step.StepFailed, step.RunDone, step.RunFailed} {
		names = append(names, string(k))
	}
	for _, name := range names {
		if !strings.Contains(string(data), "`"+name+"`") {
			t.Errorf("%s does not tell of %s", outputDoc, name)
		}
	}
}
