package cloud

import (
	"testing"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func service(policy core.ServiceExternalTrafficPolicy) *core.Service {
	return &core.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "traefik", Namespace: "kube-system", UID: "0f1e2d3c-0000-0000-0000-000000000000"},
		Spec: core.ServiceSpec{
			Type: core.ServiceTypeLoadBalancer, ClusterIPs: []string{"10.43.7.7"}, ExternalTrafficPolicy: policy,
			Ports: []core.ServicePort{{Port: 80, NodePort: 30080, Protocol: core.ProtocolTCP}},
		},
	}
}

func TestDaemonSetTellsTheImageWhereToSend(t *testing.T) {
	cases := []struct {
		name   string
		policy core.ServiceExternalTrafficPolicy
		want   map[string]string
		hostIP bool
	}{
		{"cluster", core.ServiceExternalTrafficPolicyCluster,
			map[string]string{"SRC_PORT": "80", "DEST_PORT": "80", "DEST_PROTO": "TCP", "DEST_IPS": "10.43.7.7", "SRC_RANGES": "0.0.0.0/0"}, false},
		{"local", core.ServiceExternalTrafficPolicyLocal,
			map[string]string{"SRC_PORT": "80", "DEST_PORT": "30080", "DEST_PROTO": "TCP", "SRC_RANGES": "0.0.0.0/0"}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ds := daemonSet("kube-system", service(c.policy))
			if *ds.Name != "svclb-traefik-0f1e2d3c" {
				t.Errorf("name %s", *ds.Name)
			}
			container := ds.Spec.Template.Spec.Containers[0]
			if *container.Ports[0].HostPort != 80 {
				t.Errorf("host port %d", *container.Ports[0].HostPort)
			}
			got, fromHost := map[string]string{}, false
			for _, e := range container.Env {
				if e.ValueFrom != nil {
					fromHost = *e.Name == "DEST_IPS" && *e.ValueFrom.FieldRef.FieldPath == "status.hostIPs"
					continue
				}
				got[*e.Name] = *e.Value
			}
			if fromHost != c.hostIP || len(got) != len(c.want) {
				t.Errorf("environment %v, destination from host %v", got, fromHost)
			}
			for k, v := range c.want {
				if got[k] != v {
					t.Errorf("%s is %q, want %q", k, got[k], v)
				}
			}
		})
	}
}
