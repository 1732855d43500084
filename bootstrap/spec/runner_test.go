package spec

import (
	"reflect"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func TestAHostsRunnerIsOverTheConfigurations(t *testing.T) {
	c, err := ParseConfig("x.yaml", []byte(`
runner: {repository: me/app, labels: [b, a, b], server: "https://ghes.example.org/"}
hosts:
  oldpc: {}
  lab: {runner: {name: bench, labels: [lab], work: jobs, api: "http://127.0.0.1:8080/api/v3", allowPublicRepository: true}}
  none: {runner: {enabled: false}}
`))
	if err != nil {
		t.Fatal(err, fault.EvidenceOf(err))
	}
	want := &Runner{
		Repository: "me/app", Server: "https://ghes.example.org", API: "https://ghes.example.org/api/v3",
		Name: "oldpc", Labels: []string{"a", "b"}, Work: "_work",
	}
	if got := c.RunnerOf("oldpc", "oldpc"); !reflect.DeepEqual(got, want) {
		t.Errorf("oldpc: %+v", got)
	}
	want = &Runner{
		Repository: "me/app", Server: "https://ghes.example.org", API: "http://127.0.0.1:8080/api/v3",
		Name: "bench", Labels: []string{"lab"}, Work: "jobs", AllowPublicRepository: true,
	}
	if got := c.RunnerOf("lab", "lab"); !reflect.DeepEqual(got, want) {
		t.Errorf("lab: %+v", got)
	}
	if got := c.RunnerOf("none", "none"); got != nil {
		t.Errorf("none: %+v", got)
	}
	if got := (Config{}).RunnerOf("oldpc", "oldpc"); got != nil {
		t.Errorf("without a section: %+v", got)
	}
	c.Runner.Server = ""
	if got := c.RunnerOf("oldpc", "oldpc"); got.Server != "https://github.com" || got.API != "https://api.github.com" {
		t.Errorf("GitHub itself: %+v", got)
	}
}
