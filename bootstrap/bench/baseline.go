package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec/strict"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// baselineFile is a file of the user's own figures, in the words of a
// profile's documented table.
type baselineFile struct {
	Figures []profiles.Documented `yaml:"figures"`
}

// ParseBaseline reads the user's own figures; every mistake is reported with
// its line.
func ParseBaseline(path string, data []byte) ([]profiles.Documented, error) {
	var f baselineFile
	doc := strict.Decode(path, data, &f)
	for i, d := range f.Figures {
		at := []string{"figures", fmt.Sprintf("[%d]", i)}
		def, known := Define(Metric(d.Metric))
		switch {
		case !known:
			doc.Refuse(append(at, "metric"), "%q is no metric; there are %s", d.Metric, strings.Join(MetricNames(), ", "))
		case !slices.Contains(unitsOf(def), d.Unit):
			doc.Refuse(append(at, "unit"), "%s is measured in %s", d.Metric, def.Unit)
		case d.Value <= 0:
			doc.Refuse(append(at, "value"), "a figure is above 0")
		case d.Bound != "" && d.Bound != "about" && d.Bound != "below":
			doc.Refuse(append(at, "bound"), "%q is neither about nor below", d.Bound)
		}
	}
	return f.Figures, strict.Error(path, doc.Mistakes())
}

func unitsOf(d Definition) []string {
	if d.Unit == Gigabytes {
		return []string{"GB", "GiB"}
	}
	return []string{string(d.Unit)}
}
