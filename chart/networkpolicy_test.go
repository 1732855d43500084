package chart

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// connections reads the policies as two lists of "from -> to:port". A connection
// works when both have it.
func connections(t *testing.T, objects []unstructured.Unstructured) (allowedIn, allowedOut map[string]bool) {
	t.Helper()
	allowedIn, allowedOut = map[string]bool{}, map[string]bool{}
	for _, o := range objects {
		if o.GetKind() != "NetworkPolicy" {
			continue
		}
		p := typed[networkingv1.NetworkPolicy](t, o)
		self := p.Spec.PodSelector.MatchLabels["app.kubernetes.io/component"]
		if len(p.Spec.PolicyTypes) != 2 {
			t.Errorf("%s leaves a direction open: %v", p.Name, p.Spec.PolicyTypes)
		}
		for _, rule := range p.Spec.Ingress {
			for _, from := range rule.From {
				allowedIn[fmt.Sprintf("%s -> %s:%s", peer(from), self, ports(rule.Ports))] = true
			}
		}
		for _, rule := range p.Spec.Egress {
			if len(rule.To) == 0 {
				allowedOut[fmt.Sprintf("%s -> anywhere:%s", self, ports(rule.Ports))] = true
			}
			for _, to := range rule.To {
				allowedOut[fmt.Sprintf("%s -> %s:%s", self, peer(to), ports(rule.Ports))] = true
			}
		}
	}
	return allowedIn, allowedOut
}

func peer(p networkingv1.NetworkPolicyPeer) string {
	switch {
	case p.IPBlock != nil:
		return p.IPBlock.CIDR
	case p.NamespaceSelector != nil && p.PodSelector != nil:
		return p.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] + "/" + p.PodSelector.MatchLabels["app.kubernetes.io/name"]
	case p.NamespaceSelector != nil:
		return p.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]
	case p.PodSelector != nil:
		return p.PodSelector.MatchLabels["app.kubernetes.io/component"]
	}
	return "nobody"
}

func ports(list []networkingv1.NetworkPolicyPort) string {
	var out []string
	for _, p := range list {
		out = append(out, p.Port.String())
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}

func TestNetworkPoliciesAllowExactlyTheConnectionsThatExist(t *testing.T) {
	inside := []string{
		"app -> mysql-primary:3306", "app -> mysql-replica:3306", "app -> rabbitmq:5672", "app -> redis:6379",
		"worker -> rabbitmq:5672", "mysql-replica -> mysql-primary:3306",
		"test -> app:3000", "test -> mysql-primary:3306", "test -> mysql-replica:3306",
	}
	for _, c := range []struct {
		name   string
		values values
		in     []string
	}{
		{"policies alone", values{}, []string{"kube-system/traefik -> app:3000"}},
		{"with a Prometheus", values{"metrics": values{"annotations": true}}, []string{
			"kube-system/traefik -> app:3000", "monitoring -> app:3000", "monitoring -> rabbitmq:15692",
		}},
	} {
		objects, _ := mustRender(t, over(over(c.values, values{"networkPolicies": values{"enabled": true}}), existing()))
		in, out := connections(t, objects)
		wantIn := slices.Sorted(slices.Values(append(slices.Clone(inside), c.in...)))
		wantOut := slices.Sorted(slices.Values(append(slices.Clone(inside),
			"app -> anywhere:53", "worker -> anywhere:53", "mysql-replica -> anywhere:53", "test -> anywhere:53",
			"app -> 0.0.0.0/0:443", "app -> ::/0:443")))
		if got := slices.Sorted(maps.Keys(in)); !slices.Equal(got, wantIn) {
			t.Errorf("%s: lets in\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(wantIn, "\n"))
		}
		if got := slices.Sorted(maps.Keys(out)); !slices.Equal(got, wantOut) {
			t.Errorf("%s: lets out\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(wantOut, "\n"))
		}
	}
}

// TestEveryPodHasAPolicy: a pod without one may connect to anything.
func TestEveryPodHasAPolicy(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		covered := map[string]bool{}
		for _, o := range objects {
			if o.GetKind() == "NetworkPolicy" {
				covered[typed[networkingv1.NetworkPolicy](t, o).Spec.PodSelector.MatchLabels["app.kubernetes.io/component"]] = true
			}
		}
		for _, w := range workloads(t, objects) {
			if len(covered) > 0 && !covered[w.component()] {
				t.Errorf("%s has no policy", w.name)
			}
		}
	})
}
