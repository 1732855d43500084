package chart

import (
	"cmp"
	"context"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// TestAPIServerTakesEveryRender asks a real API server, which knows more than
// any schema: a strict dry run of everything that the chart renders, so nothing
// is stored but the namespace. CHART_TEST_KUBECONFIG names the cluster.
func TestAPIServerTakesEveryRender(t *testing.T) {
	file := os.Getenv("CHART_TEST_KUBECONFIG")
	if file == "" {
		t.Skip("CHART_TEST_KUBECONFIG names no cluster")
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = -1, 0
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	// Its own, so that nothing of a release is in the way; and one that asks
	// for confined pods, so that the API server warns of any that is not.
	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"generateName": "chart-test-", "labels": map[string]any{
			"pod-security.kubernetes.io/enforce": "restricted",
		}},
	}}
	made, err := namespaces.Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := namespaces.Delete(context.WithoutCancel(ctx), made.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	// No controller runs in an API server that was started for this test.
	account := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "default"}}}
	accounts := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace(made.GetName())
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		taken := map[string]int{}
		for _, o := range objects {
			if o.GetKind() != "Pod" {
				dryRun(t, client, made.GetName(), o, taken)
			}
		}
		// The API server looks at pods' security in pods only.
		for _, w := range workloads(t, objects) {
			pod, err := podOf(w)
			if err != nil {
				t.Fatal(err)
			}
			dryRun(t, client, made.GetName(), pod, taken)
		}
		t.Logf("taken: %v", taken)
	})
}

func dryRun(t *testing.T, client dynamic.Interface, namespace string, o unstructured.Unstructured, taken map[string]int) {
	t.Helper()
	gvk := o.GroupVersionKind()
	gvr := gvk.GroupVersion().WithResource(plural(gvk.Kind))
	var resource dynamic.ResourceInterface = client.Resource(gvr)
	if gvk.Kind != "PriorityClass" {
		o.SetNamespace(cmp.Or(map[bool]string{true: "kube-system"}[gvk.Kind == "HelmChartConfig"], namespace))
		resource = client.Resource(gvr).Namespace(o.GetNamespace())
	}
	_, err := resource.Create(t.Context(), &o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	switch {
	case err == nil || apierrors.IsAlreadyExists(err):
		taken[gvk.Kind]++
	case apierrors.IsNotFound(err) && strings.Contains(gvk.Group, "."+"coreos.com"):
		t.Logf("%s is unknown to this cluster", gvk.Kind)
	default:
		t.Errorf("%s %s: %v", gvk.Kind, o.GetName(), err)
	}
}

func plural(kind string) string {
	special := map[string]string{"Ingress": "ingresses", "NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
	return cmp.Or(special[kind], strings.ToLower(kind)+"s")
}

// podOf makes the pod that a workload would run.
func podOf(w workload) (unstructured.Unstructured, error) {
	pod := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: *w.template.ObjectMeta.DeepCopy(),
		Spec:       *w.template.Spec.DeepCopy(),
	}
	pod.Name = w.name + "-0"
	// Made by the same release, and not stored here.
	pod.Spec.PriorityClassName, pod.Spec.ServiceAccountName = "", "default"
	for _, c := range w.claims {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.Name},
		}})
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&pod)
	return unstructured.Unstructured{Object: object}, err
}
