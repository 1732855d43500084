package chart

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// running returns the workloads that stay, without the pods of tests.
func running(t *testing.T, objects []unstructured.Unstructured) []workload {
	t.Helper()
	return slices.DeleteFunc(workloads(t, objects), func(w workload) bool { return w.kind == "Pod" })
}

// volumes returns the names of those that keep a pod on a node: claims, its own
// or others', and folders of the node.
func (w workload) volumes() []string {
	var out []string
	for _, c := range w.claims {
		out = append(out, c.Name)
	}
	for _, v := range w.template.Spec.Volumes {
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil || v.HostPath != nil {
			out = append(out, v.Name)
		}
	}
	return out
}

// TestWhatMovesToAnotherNodeAndWhatItsVolumeKeeps: a pod of a Deployment may be
// made anew anywhere, so it must not have a volume that is on one node; and a
// volume has one pod only, which nothing makes on a second node as long as the
// first may still write.
func TestWhatMovesToAnotherNodeAndWhatItsVolumeKeeps(t *testing.T) {
	moving := []string{"app", "worker"}
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, w := range running(t, objects) {
			moves := slices.Contains(moving, w.component())
			switch volumes := w.volumes(); {
			case moves && (w.kind != "Deployment" || len(volumes) > 0):
				t.Errorf("%s moves, and is a %s with the volumes %v", w.name, w.kind, volumes)
			case !moves && (w.kind != "StatefulSet" || w.replicas == nil || *w.replicas != 1):
				t.Errorf("%s has its volume on one node, and is a %s of several pods", w.name, w.kind)
			case !moves && len(w.claims) != len(volumes):
				t.Errorf("%s shares volumes: %v", w.name, volumes)
			}
		}
	})
}

// TestOneNodeIsEnoughForAll: what asks to be apart must not demand it, or a
// second pod waits for ever for a node that nobody has.
func TestOneNodeIsEnoughForAll(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, w := range workloads(t, objects) {
			if why := demands(w.template.Spec); why != "" {
				t.Errorf("%s %s demands a certain node: %s", w.kind, w.name, why)
			}
		}
	})
}

func demands(pod corev1.PodSpec) string {
	for _, c := range pod.TopologySpreadConstraints {
		if c.WhenUnsatisfiable != corev1.ScheduleAnyway {
			return "topologySpreadConstraints"
		}
	}
	for _, c := range pod.Containers {
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				return "hostPort"
			}
		}
	}
	a := pod.Affinity
	switch {
	case pod.NodeName != "":
		return "nodeName"
	case len(pod.NodeSelector) > 0:
		return "nodeSelector"
	case a == nil:
	case a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil:
		return "nodeAffinity"
	case a.PodAffinity != nil && len(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0:
		return "podAffinity"
	case a.PodAntiAffinity != nil && len(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0:
		return "podAntiAffinity"
	}
	return ""
}

// TestWhatIsApartWhereThereAreTwoNodes: pods of one kind from each other, and
// the replica from its primary. What has one pod has nothing to be apart from.
func TestWhatIsApartWhereThereAreTwoNodes(t *testing.T) {
	apartFrom := map[string]string{"app": "app", "worker": "worker", "mysql-replica": "mysql-primary"}
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		all := running(t, objects)
		for _, w := range all {
			var others []string
			for _, s := range w.apart() {
				others = append(others, found(all, s)...)
			}
			want := []string{apartFrom[w.component()]}
			if want[0] == "" {
				want = nil
			}
			if !slices.Equal(others, want) {
				t.Errorf("%s asks to be apart from %v, want %v", w.name, others, want)
			}
		}
	})
}

// apart are the selectors of the pods that should be on other nodes.
func (w workload) apart() []*metav1.LabelSelector {
	const node = corev1.LabelHostname
	var out []*metav1.LabelSelector
	for _, c := range w.template.Spec.TopologySpreadConstraints {
		if c.TopologyKey == node && c.MaxSkew == 1 {
			out = append(out, c.LabelSelector)
		}
	}
	if a := w.template.Spec.Affinity; a != nil && a.PodAntiAffinity != nil {
		for _, term := range a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			if term.PodAffinityTerm.TopologyKey == node {
				out = append(out, term.PodAffinityTerm.LabelSelector)
			}
		}
	}
	return out
}

// found are the components whose pods a selector finds.
func found(all []workload, s *metav1.LabelSelector) []string {
	var out []string
	for _, w := range all {
		if matches(s.MatchLabels, w.template.Labels) {
			out = append(out, w.component())
		}
	}
	return out
}

// TestTheREADMESaysWhatMoves compares its table with the chart's default.
func TestTheREADMESaysWhatMoves(t *testing.T) {
	text, err := os.ReadFile("readme.tmpl.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## More than one node\n")
	section, _, _ = strings.Cut(section, "\n## ")
	said := map[string][2]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([^|]+) \\| ([^|]+) \\|$").FindAllStringSubmatch(section, -1) {
		said[row[1]] = [2]string{row[2], row[3]}
	}
	objects, _ := mustRender(t, fromFile(t, "testdata/secrets.yaml"))
	all := running(t, objects)
	for _, w := range all {
		want := [2]string{"any", "nothing"}
		if len(w.claims) > 0 {
			want[0] = "that of its volume"
		}
		for _, s := range w.apart() {
			want[1] = "`" + strings.Join(found(all, s), "`, `") + "`"
		}
		if said[w.component()] != want {
			t.Errorf("%s: the README says %q, the chart %q", w.component(), said[w.component()], want)
		}
	}
	if len(said) != len(all) {
		t.Errorf("the README has %d rows for %d components", len(said), len(all))
	}
}
