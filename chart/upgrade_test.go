package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
)

// cluster answers lookups with the Secrets that it holds.
type cluster struct{ client dynamic.Interface }

func (c cluster) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	version, err := schema.ParseGroupVersion(apiVersion)
	return c.client.Resource(version.WithResource(strings.ToLower(kind) + "s")), true, err
}

// renderIn renders as an install or upgrade in a cluster does.
func renderIn(t *testing.T, v values, stored []unstructured.Unstructured) []unstructured.Unstructured {
	t.Helper()
	scheme := runtime.NewScheme()
	var held []runtime.Object
	for _, o := range stored {
		if o.GetKind() == "Secret" {
			o.SetNamespace("studentsystemgo")
			held = append(held, &o)
		}
	}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(scheme, map[schema.GroupVersionResource]string{{Version: "v1", Resource: "secrets"}: "SecretList"}, held...)
	loaded, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(loaded, v, chartutil.ReleaseOptions{Name: "ssg", Namespace: "studentsystemgo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.RenderWithClientProvider(loaded, all, cluster{client})
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".yaml") {
			text = append(text, files[name])
		}
	}
	objects, err := decode(strings.Join(text, "\n---\n"))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// TestAnUpgradeKeepsGeneratedSecretsAndPods installs with nothing given, then
// upgrades with nothing given.
func TestAnUpgradeKeepsGeneratedSecretsAndPods(t *testing.T) {
	installed := renderIn(t, values{}, nil)
	upgraded := renderIn(t, values{}, installed)
	secrets := 0
	for _, o := range installed {
		if o.GetKind() != "Secret" {
			continue
		}
		secrets++
		before, _, _ := nestedStrings(o.Object, "data")
		after, _, _ := nestedStrings(find(t, upgraded, "Secret", o.GetName()).Object, "data")
		if len(before) == 0 || !maps.Equal(before, after) {
			t.Errorf("an upgrade changes Secret %s", o.GetName())
		}
		if o.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("an uninstall would take Secret %s from under its volume", o.GetName())
		}
	}
	if secrets != 4 {
		t.Errorf("%d Secrets", secrets)
	}
	old, changed := workloads(t, installed), workloads(t, upgraded)
	for i := range old {
		if !maps.Equal(old[i].template.Annotations, changed[i].template.Annotations) {
			t.Errorf("an upgrade that changes nothing rolls %s: %v, %v", old[i].name, old[i].template.Annotations, changed[i].template.Annotations)
		}
	}
}

// TestAGivenSecretWinsAndRollsWhatReadsIt changes one password.
func TestAGivenSecretWinsAndRollsWhatReadsIt(t *testing.T) {
	installed := renderIn(t, values{}, nil)
	changed := renderIn(t, values{"rabbitmq": values{"auth": values{"password": "another"}}}, installed)
	data, _, err := nestedStrings(find(t, changed, "Secret", "ssg-studentsystemgo-rabbitmq").Object, "data")
	if err != nil || unbase64(t, data["password"]) != "another" || !strings.Contains(unbase64(t, data["url"]), ":another@") {
		t.Errorf("the Secret has %v (%v)", data, err)
	}
	var rolled []string
	before, after := workloads(t, installed), workloads(t, changed)
	for i := range before {
		if !maps.Equal(before[i].template.Annotations, after[i].template.Annotations) {
			rolled = append(rolled, after[i].component())
		}
	}
	slices.Sort(rolled)
	if want := []string{"app", "rabbitmq", "worker"}; !slices.Equal(rolled, want) {
		t.Errorf("rolls %v, want %v", rolled, want)
	}
}

// TestGitopsAsksNoCluster: what Argo CD renders must not depend on what is there.
func TestGitopsAsksNoCluster(t *testing.T) {
	installed := renderIn(t, values{}, nil)
	given := over(values{"gitops": true}, fromFile(t, "testdata/secrets.yaml"))
	data, _, err := nestedStrings(find(t, renderIn(t, given, installed), "Secret", "ssg-studentsystemgo-app").Object, "data")
	if err != nil || unbase64(t, data["jwt-secret"]) != "canary-jwt-70aa" {
		t.Errorf("the Secret has %v (%v)", data, err)
	}
}
