package bench

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// objects are what the chart renders, as far as a boot depends on it. What
// reaches out of a namespace (ingress, priorities, Traefik's objects) and what
// adds pods by itself (the autoscaler) is not among them.
type objects struct {
	configMaps []*corev1.ConfigMap
	services   []*corev1.Service
	accounts   []*corev1.ServiceAccount
	policies   []*networkingv1.NetworkPolicy
	sets       map[string]*appsv1.StatefulSet
	apps       map[string]*appsv1.Deployment
}

// alone are the values that keep a release within its namespace.
func alone() release.Layer {
	type m = map[string]any
	off := func() m { return m{"enabled": false} }
	return release.Layer{Source: "ssg-bootstrap bench", Values: release.Values{
		"hpa": off(), "ingress": off(), "podDisruptionBudgets": off(),
		"replicaCount":    1,
		"priorityClasses": m{"create": false},
		"traefik":         m{"middlewares": off(), "chartConfig": off()},
		"metrics":         m{"serviceMonitors": off()},
	}}
}

// render renders the same release for the scratch namespace.
func render(w release.Want, book secrets.Book, tag string) (objects, error) {
	texts, err := w.Manifests(book, tag)
	if err != nil {
		return objects{}, err
	}
	o := objects{sets: map[string]*appsv1.StatefulSet{}, apps: map[string]*appsv1.Deployment{}}
	for _, text := range texts {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(text), nil, nil)
		if runtime.IsNotRegisteredError(err) {
			continue // Traefik's and Prometheus' kinds
		}
		if err != nil {
			return objects{}, fmt.Errorf("read what the chart rendered: %w", err)
		}
		o.add(object)
	}
	return o, nil
}

func (o *objects) add(object runtime.Object) {
	switch x := object.(type) {
	case *corev1.ConfigMap:
		o.configMaps = append(o.configMaps, x)
	case *corev1.Service:
		o.services = append(o.services, x)
	case *corev1.ServiceAccount:
		o.accounts = append(o.accounts, x)
	case *networkingv1.NetworkPolicy:
		o.policies = append(o.policies, x)
	case *appsv1.StatefulSet:
		o.sets[x.Labels[componentLabel]] = x
	case *appsv1.Deployment:
		o.apps[x.Labels[componentLabel]] = x
	}
}

// pod is the template of a component's pods.
func (o objects) pod(component string) (corev1.PodSpec, bool) {
	if s, ok := o.sets[component]; ok {
		return s.Spec.Template.Spec, true
	}
	if d, ok := o.apps[component]; ok {
		return d.Spec.Template.Spec, true
	}
	return corev1.PodSpec{}, false
}

// present are the components that this release has, in the order of boots.
func (o objects) present() []component {
	out := slices.DeleteFunc(components(), func(c component) bool { _, ok := o.pod(c.name); return !ok })
	for i, c := range out {
		out[i].needs = slices.DeleteFunc(slices.Clone(c.needs), func(n string) bool { _, ok := o.pod(n); return !ok })
	}
	return out
}

// probePeriod is how often Kubernetes asks a component whether it is there, in
// seconds; 0 for one that has no probe.
func (o objects) probePeriod(component string) float64 {
	spec, ok := o.pod(component)
	if !ok || len(spec.Containers) == 0 {
		return 0
	}
	c := spec.Containers[0]
	period := 0.0
	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe} {
		if p != nil {
			period = max(period, float64(p.PeriodSeconds))
		}
	}
	return period
}

// requests is what all pods together ask for: bytes and thousandths of a core.
func (o objects) requests() (memory, cpu int64) {
	for _, c := range o.present() {
		spec, _ := o.pod(c.name)
		m, u := podRequests(spec)
		memory, cpu = memory+m, cpu+u
	}
	return memory, cpu
}

func podRequests(spec corev1.PodSpec) (memory, cpu int64) {
	for _, c := range spec.Containers {
		memory += c.Resources.Requests.Memory().Value()
		cpu += c.Resources.Requests.Cpu().MilliValue()
	}
	return memory, cpu
}

// images are what the release's pods run.
func (o objects) images() []string {
	var out []string
	for _, c := range o.present() {
		spec, _ := o.pod(c.name)
		for _, x := range slices.Concat(spec.InitContainers, spec.Containers) {
			out = append(out, x.Image)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
