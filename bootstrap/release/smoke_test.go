package release

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func TestHealthIsAskedForAsUsersDo(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "oldpc"},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "oldpc"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.7"}}},
	}
	ingress := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "ssg-studentsystemgo", Namespace: "ns", Labels: map[string]string{instanceLabel: "ssg"}},
		Spec:       networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "school.example"}}},
	}
	secure := ingress.DeepCopy()
	secure.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"school.example"}}}
	answer := http.StatusOK
	traefik := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "school.example" || r.URL.Path != "/healthz" {
			t.Errorf("asked %s for %s", r.Host, r.URL.Path)
		}
		w.WriteHeader(answer)
	})
	plain, tls := httptest.NewServer(traefik), httptest.NewTLSServer(traefik)
	defer plain.Close()
	defer tls.Close()
	for want, c := range map[string]struct {
		ingress *networkingv1.Ingress
		server  *httptest.Server
	}{"192.0.2.7:80": {ingress, plain}, "192.0.2.7:443": {secure, tls}} {
		var dialled string
		s := Smoke{
			Name: "ssg", Cluster: &cluster.Cluster{Client: fake.NewClientset(node, c.ingress), Namespace: "ns"},
			Reach: func(ctx context.Context, network, address string) (net.Conn, error) {
				dialled = address
				return new(net.Dialer).DialContext(ctx, network, c.server.Listener.Addr().String())
			},
		}
		answer = http.StatusOK
		if seen, err := s.health(t.Context(), nil); err != nil || seen != "answers" || dialled != want {
			t.Errorf("%s: %q, %v, dialled %s", want, seen, err, dialled)
		}
		answer = http.StatusServiceUnavailable
		if _, err := s.health(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestASmokeTestThatFailsSaysWhichAndWhatItSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Smoke{Name: "ssg", Cluster: &cluster.Cluster{Client: fake.NewClientset(), Namespace: "ns"}, Note: func(string) {}}
		err := s.Run(t.Context())
		if fault.CodeOf(err) != fault.SmokeFailed || !strings.Contains(err.Error(), "a row written on the primary") || fault.EvidenceOf(err) != "there is no mysql-primary" {
			t.Errorf("got %v\n%s", err, fault.EvidenceOf(err))
		}
	})
}
