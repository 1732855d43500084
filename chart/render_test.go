package chart

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

const chartDir = "studentsystemgo"

// values of a test; nested maps as in YAML.
type values = map[string]any

// rendering is one set of values that the chart is tried with.
type rendering struct {
	name   string
	values values
	// owned says that the Secrets are somebody else's.
	owned bool
}

// golden is where the text is that the chart makes of it.
func (r rendering) golden() string { return filepath.Join("testdata", "golden", r.name+".yaml") }

// renderings are all that the chart is shipped or used with.
func renderings(t *testing.T) []rendering {
	t.Helper()
	given := fromFile(t, "testdata/secrets.yaml")
	out := []rendering{{name: "default", values: given}}
	presets, err := filepath.Glob(filepath.Join(chartDir, "presets", "*.yaml"))
	if err != nil || len(presets) != 7 {
		t.Fatal(presets, err)
	}
	for _, file := range presets {
		out = append(out, rendering{
			name:   "preset-" + strings.TrimSuffix(filepath.Base(file), ".yaml"),
			values: over(fromFile(t, file), given),
		})
	}
	for _, name := range profiles.Names() {
		p, err := profiles.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rendering{name: "profile-" + name, values: over(normal(t, p.Chart.Values), existing()), owned: true})
	}
	out = append(out,
		rendering{name: "gitops", values: over(values{"gitops": true}, given)},
		rendering{name: "prefixed", values: over(values{"names": values{"prefixed": true}}, over(fromFile(t, filepath.Join(chartDir, "presets", "full.yaml")), given))},
	)
	return out
}

// existing is what ssg-bootstrap sets: it owns the Secrets.
func existing() values {
	return values{
		"gitops":     true,
		"mysql":      values{"auth": values{"existingSecret": "ssg-studentsystemgo-mysql"}},
		"rabbitmq":   values{"auth": values{"existingSecret": "ssg-studentsystemgo-rabbitmq"}},
		"app":        values{"existingSecret": "ssg-studentsystemgo-app"},
		"cloudfront": values{"existingSecret": "ssg-studentsystemgo-cloudfront-key"},
		"secretsChecksum": values{
			"app": "aaaa", "worker": "bbbb", "mysql-primary": "cccc", "mysql-replica": "cccc",
		},
	}
}

func fromFile(t *testing.T, file string) values {
	t.Helper()
	v, err := chartutil.ReadValuesFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// normal passes values through YAML, as a release does.
func normal(t *testing.T, v values) values {
	t.Helper()
	data, err := sigsyaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out := values{}
	if err := sigsyaml.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// over merges two sets of values; the first wins.
func over(first, second values) values {
	out := maps.Clone(second)
	for k, v := range first {
		a, isMap := v.(values)
		b, bothMaps := out[k].(values)
		if isMap && bothMaps {
			v = over(a, b)
		}
		out[k] = v
	}
	return out
}

// render returns the objects in the order in which Helm applies them, the
// hooks last, and the text that they were parsed from.
func render(v values) ([]unstructured.Unstructured, string, error) {
	loaded, err := loader.LoadDir(chartDir)
	if err != nil {
		return nil, "", err
	}
	install := action.NewInstall(&action.Configuration{})
	install.DryRun, install.ClientOnly, install.Replace = true, true, true
	install.ReleaseName, install.Namespace = "ssg", "studentsystemgo"
	install.KubeVersion = &chartutil.KubeVersion{Version: "v1.36.4", Major: "1", Minor: "36"}
	release, err := install.Run(loaded, v)
	if err != nil {
		return nil, "", err
	}
	text := release.Manifest
	for _, h := range release.Hooks {
		text += "---\n# Source: " + h.Path + "\n" + h.Manifest + "\n"
	}
	objects, err := decode(text)
	return objects, text, err
}

func decode(text string) ([]unstructured.Unstructured, error) {
	var out []unstructured.Unstructured
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var o unstructured.Unstructured
		err := d.Decode(&o.Object)
		if err != nil {
			if err.Error() == "EOF" {
				return out, nil
			}
			return nil, fmt.Errorf("%w in\n%s", err, text)
		}
		if len(o.Object) > 0 {
			out = append(out, o)
		}
	}
}

func mustRender(t *testing.T, v values) ([]unstructured.Unstructured, string) {
	t.Helper()
	objects, text, err := render(v)
	if err != nil {
		t.Fatal(err)
	}
	return objects, text
}

// find returns the one object of a kind and name.
func find(t *testing.T, objects []unstructured.Unstructured, kind, name string) unstructured.Unstructured {
	t.Helper()
	i := slices.IndexFunc(objects, func(o unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
	if i < 0 {
		t.Fatalf("no %s %s", kind, name)
	}
	return objects[i]
}

// each runs a test on every rendering: on the text that TestGoldenRenders holds
// to be what the chart makes. Rendering it anew for each question is most of
// what these tests would take.
func each(t *testing.T, f func(*testing.T, rendering, []unstructured.Unstructured)) {
	t.Helper()
	for _, r := range renderings(t) {
		t.Run(r.name, func(t *testing.T) {
			text, err := os.ReadFile(r.golden())
			if err != nil {
				t.Fatal(err)
			}
			objects, err := decode(string(text))
			if err != nil {
				t.Fatal(err)
			}
			f(t, r, objects)
		})
	}
}

func TestGoldenRenders(t *testing.T) {
	for _, r := range renderings(t) {
		t.Run(r.name, func(t *testing.T) {
			_, text := mustRender(t, r.values)
			goldentest.Equal(t, r.golden(), text)
		})
	}
}
