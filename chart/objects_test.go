package chart

import (
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// workload is what the invariants ask of anything that runs pods.
type workload struct {
	kind, name string
	selector   map[string]string
	template   corev1.PodTemplateSpec
	claims     []corev1.PersistentVolumeClaim
	replicas   *int32
}

func (w workload) component() string { return w.template.Labels["app.kubernetes.io/component"] }

// containers returns all, those that run at the start first.
func (w workload) containers() []corev1.Container {
	return append(append([]corev1.Container(nil), w.template.Spec.InitContainers...), w.template.Spec.Containers...)
}

// workloads returns what runs pods; the strict conversion refuses fields that
// the API does not know.
func workloads(t *testing.T, objects []unstructured.Unstructured) []workload {
	t.Helper()
	var out []workload
	for _, o := range objects {
		switch o.GetKind() {
		case "Deployment":
			d := typed[appsv1.Deployment](t, o)
			out = append(out, workload{o.GetKind(), d.Name, d.Spec.Selector.MatchLabels, d.Spec.Template, nil, d.Spec.Replicas})
		case "StatefulSet":
			s := typed[appsv1.StatefulSet](t, o)
			out = append(out, workload{o.GetKind(), s.Name, s.Spec.Selector.MatchLabels, s.Spec.Template, s.Spec.VolumeClaimTemplates, s.Spec.Replicas})
		case "Pod":
			p := typed[corev1.Pod](t, o)
			out = append(out, workload{kind: o.GetKind(), name: p.Name, template: corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: p.Spec}})
		}
	}
	if len(out) == 0 {
		t.Fatal("nothing runs")
	}
	return out
}

func typed[T any](t *testing.T, o unstructured.Unstructured) T {
	t.Helper()
	var out T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &out, true); err != nil {
		t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
	return out
}

func nestedStrings(o map[string]any, fields ...string) (map[string]string, bool, error) {
	return unstructured.NestedStringMap(o, fields...)
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

func quote(list []string) string { return `"` + strings.Join(list, `", "`) + `"` }

func unbase64(t *testing.T, s string) string {
	t.Helper()
	out, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func decoded(t *testing.T, cert, key string) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(unbase64(t, cert)), []byte(unbase64(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
