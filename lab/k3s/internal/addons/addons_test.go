package addons

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func values() Values {
	return Values{NodeName: "oldpc", NodeIP: "10.0.2.15", ClusterDNS: "10.43.0.10", ClusterDomain: "cluster.local", LocalStoragePath: "/var/lib/rancher/k3s/storage"}
}

func TestEveryPackagedManifestDecodes(t *testing.T) {
	entries, err := packaged.ReadDir("manifests")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := Render(e.Name(), values())
		if err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		objects, err := Decode(content)
		if err != nil || len(objects) == 0 {
			t.Errorf("%s: %d objects, %v", e.Name(), len(objects), err)
		}
	}
}

func TestStage(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, content string) {
		if err := os.WriteFile(path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("traefik.yaml", "edited by hand")
	put("coredns.yaml.skip", "")
	put("metrics-server.yaml", "from an earlier start")
	put("mine.yaml", "kind: ConfigMap")
	removed, err := Stage(dir, values(), func(c string) bool { return c == "metrics-server" })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(removed, []string{"metrics-server.yaml"}) {
		t.Errorf("removed %v", removed)
	}
	if b, _ := os.ReadFile(path("traefik.yaml")); !strings.Contains(string(b), "IngressClass") {
		t.Error("traefik.yaml was not written anew")
	}
	if b, _ := os.ReadFile(path("mine.yaml")); string(b) != "kind: ConfigMap" {
		t.Error("somebody's own file was touched")
	}
	for _, gone := range []string{"metrics-server.yaml", "coredns.yaml"} {
		if _, err := os.Stat(path(gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", gone, err)
		}
	}
}

func TestSkippedFilesAreNotApplied(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", "b.yaml", "b.yaml.skip", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := manifests(dir)
	if err != nil || !slices.Equal(got, []string{filepath.Join(dir, "a.yaml")}) {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestDecodeOrdersAndFlattens(t *testing.T) {
	objects, err := Decode([]byte(`
# only a comment
---
{apiVersion: v1, kind: Pod, metadata: {name: p}}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Namespace, metadata: {name: space}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, o := range objects {
		order = append(order, o.GetKind())
	}
	if !slices.Equal(order, []string{"Namespace", "ConfigMap", "Pod"}) {
		t.Fatalf("order %v", order)
	}
	for _, bad := range []string{"kind: Pod\nmetadata: {name: p}\n", "apiVersion: v1\nkind: Pod\n", "a: [\n"} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestTraefikTakesValues(t *testing.T) {
	content, err := Render(traefikFile, values())
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Decode(content)
	if err != nil {
		t.Fatal(err)
	}
	config, err := parseTraefik("additionalArguments: [--log.level=DEBUG]\nresources: {limits: {memory: 64Mi}}\nservice: {spec: {externalTrafficPolicy: Local}}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := config.apply(objects); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		switch o.GetKind() {
		case "Service":
			if p, _, _ := unstructured.NestedString(o.Object, "spec", "externalTrafficPolicy"); p != "Local" {
				t.Errorf("policy %q", p)
			}
		case "Deployment":
			cs, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			c := cs[0].(map[string]any)
			if args, _, _ := unstructured.NestedStringSlice(c, "args"); args[len(args)-1] != "--log.level=DEBUG" {
				t.Errorf("arguments %v", args)
			}
			if m, _, _ := unstructured.NestedString(c, "resources", "limits", "memory"); m != "64Mi" {
				t.Errorf("memory %q", m)
			}
		}
	}
	if _, err := parseTraefik("dashboard: {enabled: true}\n"); err == nil {
		t.Error("a value that nothing honours was accepted")
	}
}
