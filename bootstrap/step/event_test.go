package step

import (
	"os"
	"regexp"
	"testing"
)

// TestEveryKindSaysWhatItMeans finds a kind that was declared and not listed.
func TestEveryKindSaysWhatItMeans(t *testing.T) {
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[Kind]bool{}
	for _, k := range Kinds() {
		if k.Means == "" {
			t.Errorf("%s means nothing", k.Kind)
		}
		listed[k.Kind] = true
	}
	declared := regexp.MustCompile(`(?m)^\t\w+\s+Kind = "([a-z-]+)"$`).FindAllSubmatch(source, -1)
	for _, m := range declared {
		if !listed[Kind(m[1])] {
			t.Errorf("%s is declared and not listed", m[1])
		}
	}
	if len(declared) != len(listed) {
		t.Errorf("%d kinds are declared, %d listed", len(declared), len(listed))
	}
}
