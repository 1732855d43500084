package chart

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/omkar619-dev/ssg-bootstrap/runner"
	"github.com/omkar619-dev/ssg-bootstrap/runner/workflow"
)

// resources are the plural names of what the chart renders. A kind that is not
// here fails the test: whoever adds one says what it is called and whether a
// job may deploy it.
func resources() map[string]string {
	return map[string]string{
		"ConfigMap": "configmaps", "Deployment": "deployments", "HelmChartConfig": "helmchartconfigs",
		"HorizontalPodAutoscaler": "horizontalpodautoscalers", "Ingress": "ingresses", "Middleware": "middlewares",
		"NetworkPolicy": "networkpolicies", "Pod": "pods", "PodDisruptionBudget": "poddisruptionbudgets",
		"PriorityClass": "priorityclasses", "Secret": "secrets", "Service": "services", "ServiceAccount": "serviceaccounts",
		"ServiceMonitor": "servicemonitors", "StatefulSet": "statefulsets",
	}
}

func granted(rules []runner.Rule, o unstructured.Unstructured, verb string) bool {
	resource, group := resources()[o.GetKind()], o.GroupVersionKind().Group
	return slices.ContainsFunc(rules, func(r runner.Rule) bool {
		return slices.Contains(r.Groups, group) && slices.Contains(r.Resources, resource) && slices.Contains(r.Verbs, verb) &&
			(len(r.Names) == 0 || slices.Contains(r.Names, o.GetName()))
	})
}

// TestAJobMayUpgradeEverythingThatTheChartRenders derives from all renderings
// what `helm upgrade --atomic` needs. Helm makes, reads, patches and removes
// what is in the namespace; of what is outside, which install has made, it
// patches the labels when the chart's version changes.
func TestAJobMayUpgradeEverythingThatTheChartRenders(t *testing.T) {
	const namespace = "studentsystemgo"
	rights := runner.RightsOf("ssg", namespace)
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, o := range objects {
			rules, verbs := rights.Namespaced, []string{"get", "list", "watch", "create", "update", "patch", "delete"}
			switch {
			case resources()[o.GetKind()] == "":
				t.Errorf("nobody has said what a %s is called", o.GetKind())
				continue
			case o.GetKind() == "PriorityClass":
				rules, verbs = rights.Cluster, []string{"get", "patch"}
			case o.GetNamespace() == "kube-system":
				// A job must not decide what Traefik runs: install alone changes it.
				rules, verbs = rights.System, []string{"get"}
			}
			for _, verb := range verbs {
				if !granted(rules, o, verb) {
					t.Errorf("a job may not %s %s %s", verb, o.GetKind(), o.GetName())
				}
			}
		}
	})
}

// TestAJobCannotRaiseItself lists what no deployment needs and what would make
// the ServiceAccount more than it is.
func TestAJobCannotRaiseItself(t *testing.T) {
	rights := runner.RightsOf("ssg", "studentsystemgo")
	for _, r := range slices.Concat(rights.Namespaced, rights.Cluster, rights.System) {
		for _, resource := range r.Resources {
			if strings.Contains(resource, "role") || slices.Contains([]string{"*", "pods/exec", "pods/attach", "pods/ephemeralcontainers", "serviceaccounts/token", "nodes", "persistentvolumes"}, resource) {
				t.Errorf("a job may touch %s", resource)
			}
		}
		if slices.Contains(r.Groups, "*") || slices.Contains(r.Verbs, "*") || slices.ContainsFunc(r.Verbs, func(v string) bool { return v == "bind" || v == "escalate" || v == "impersonate" }) {
			t.Errorf("a job may do anything: %+v", r)
		}
	}
	for _, r := range slices.Concat(rights.Cluster, rights.System) {
		if len(r.Names) == 0 || slices.Contains(r.Verbs, "create") || slices.Contains(r.Verbs, "list") {
			t.Errorf("outside of its namespace a job may touch what is not named: %+v", r)
		}
	}
}

// TestTheWorkflowDeploysTheImageThatItPulled holds the values that the printed
// workflow sets against the chart's names for them.
func TestTheWorkflowDeploysTheImageThatItPulled(t *testing.T) {
	text, err := workflow.Render(workflow.Input{
		Labels: []string{"homelab"}, Registry: "ghcr.io", Chart: "./chart/studentsystemgo", Release: "ssg", Namespace: "studentsystemgo",
	})
	if err != nil {
		t.Fatal(err)
	}
	script, err := workflow.Script(text, workflow.DeployJob)
	if err != nil {
		t.Fatal(err)
	}
	shell := strings.NewReplacer(`"`, "", "$REGISTRY", "ghcr.io", "${GITHUB_REPOSITORY,,}", "owner/school", "${IMAGE_TAG:-sha-${GITHUB_SHA:0:7}}", "sha-1")
	image := values{}
	for _, set := range regexp.MustCompile(`--set-string image\.(\w+)=(\S+)`).FindAllStringSubmatch(script, -1) {
		image[set[1]] = shell.Replace(set[2])
	}
	objects, _, err := render(over(values{"image": image}, existing()))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, o := range objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range containers {
			if got := c.(map[string]any)["image"]; got != "ghcr.io/owner/school:sha-1" {
				t.Errorf("%s runs %s", o.GetName(), got)
			}
			seen++
		}
	}
	if seen < 2 {
		t.Errorf("%d containers of application and worker", seen)
	}
}
