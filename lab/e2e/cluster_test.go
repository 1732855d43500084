//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// busybox is in the system images, so it needs no registry.
const busybox = "docker.io/rancher/mirrored-library-busybox:1.37.0"

// clusterPatience bounds each condition; the emulated CPU needs minutes for
// what a new one does in seconds.
const clusterPatience = 8 * time.Minute

func theClusterServes(t *testing.T, b *box, f *figures) {
	kube := b.connect(t)
	ctx := t.Context()
	nodes, err := kube.CoreV1().Nodes().List(ctx, meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) != 1 || !nodeReady(nodes.Items[0]) {
		t.Fatalf("want one Ready node, got %+v", nodes.Items)
	}
	begin := time.Now()
	deployProbe(t, kube)
	f.add(t, "a deployment with volume, DNS and page", "%s until its pod was Ready", seconds(b.probeReady(t, kube, begin)))
	answer := b.throughIngress(t)
	if !strings.Contains(answer, "kubernetes.default") || !strings.Contains(answer, "10.43.0.1") {
		t.Errorf("the page shows no answer for kubernetes.default:\n%s", answer)
	}
	f.add(t, "kubectl top node", "%s", topNode(t, kube))
	if err := kube.CoreV1().Namespaces().Delete(ctx, probe, meta.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// connect goes the user's way: the context that `kubeconfig` writes, through
// the port that `tunnel` opens.
func (b *box) connect(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	path := filepath.Join(b.client.home, ".kube", "config")
	b.client.must(t, "kubeconfig", "--host", hostName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("kubeconfig: %v, %v", info, err)
	}
	tunnel := b.client.start(t, nil, "tunnel", "--host", hostName)
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: path},
		&clientcmd.ConfigOverrides{CurrentContext: hostName}).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	config.Timeout = 30 * time.Second
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the API through the tunnel", func(ctx context.Context) (bool, string) {
		select {
		case <-tunnel.done:
			t.Fatalf("the tunnel ended:\n%s\n%s", tunnel.stdout.String(), tunnel.log())
		default:
		}
		version, err := kube.Discovery().ServerVersion()
		return err == nil, fmt.Sprint(version, err)
	})
	return kube
}

// eventually waits for a condition and says what was last seen.
func eventually(t *testing.T, what string, probe func(context.Context) (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clusterPatience)
	defer cancel()
	for {
		ok, seen := probe(ctx)
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no %s within %s; last seen: %s", what, clusterPatience, seen)
		case <-time.After(time.Second):
		}
	}
}

func nodeReady(n core.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == core.NodeReady {
			return c.Status == core.ConditionTrue
		}
	}
	return false
}

const probe = "e2e-probe"

// probeScript writes what DNS says into the volume and serves the volume. The
// pod is Ready once the name was resolved and the volume took the answer.
const probeScript = `until nslookup kubernetes.default.svc.cluster.local > /data/index.html; do sleep 1; done; exec httpd -f -p 8080 -h /data`

func deployProbe(t *testing.T, kube *kubernetes.Clientset) {
	t.Helper()
	ctx := t.Context()
	object := meta.ObjectMeta{Name: probe, Namespace: probe}
	labels := map[string]string{"app": probe}
	create := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := kube.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: probe}}, meta.CreateOptions{})
	create(err)
	_, err = kube.CoreV1().PersistentVolumeClaims(probe).Create(ctx, &core.PersistentVolumeClaim{ObjectMeta: object, Spec: core.PersistentVolumeClaimSpec{
		AccessModes: []core.PersistentVolumeAccessMode{core.ReadWriteOnce},
		Resources:   core.VolumeResourceRequirements{Requests: core.ResourceList{core.ResourceStorage: resource.MustParse("10Mi")}},
	}}, meta.CreateOptions{})
	create(err)
	_, err = kube.AppsV1().Deployments(probe).Create(ctx, &apps.Deployment{ObjectMeta: object, Spec: apps.DeploymentSpec{
		Selector: &meta.LabelSelector{MatchLabels: labels},
		Template: core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: labels}, Spec: core.PodSpec{
			Containers: []core.Container{{
				Name: probe, Image: busybox, ImagePullPolicy: core.PullNever,
				Command:      []string{"sh", "-c", probeScript},
				VolumeMounts: []core.VolumeMount{{Name: "data", MountPath: "/data"}},
				ReadinessProbe: &core.Probe{PeriodSeconds: 2, TimeoutSeconds: 5, ProbeHandler: core.ProbeHandler{
					HTTPGet: &core.HTTPGetAction{Path: "/index.html", Port: intstr.FromInt32(8080)}}},
			}},
			Volumes: []core.Volume{{Name: "data", VolumeSource: core.VolumeSource{
				PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: probe}}}},
		}},
	}}, meta.CreateOptions{})
	create(err)
	_, err = kube.CoreV1().Services(probe).Create(ctx, &core.Service{ObjectMeta: object, Spec: core.ServiceSpec{
		Selector: labels, Ports: []core.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}, meta.CreateOptions{})
	create(err)
	prefix := networking.PathTypePrefix
	_, err = kube.NetworkingV1().Ingresses(probe).Create(ctx, &networking.Ingress{ObjectMeta: object, Spec: networking.IngressSpec{
		Rules: []networking.IngressRule{{Host: probe + ".test", IngressRuleValue: networking.IngressRuleValue{HTTP: &networking.HTTPIngressRuleValue{
			Paths: []networking.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networking.IngressBackend{
				Service: &networking.IngressServiceBackend{Name: probe, Port: networking.ServiceBackendPort{Number: 80}}}}},
		}}}},
	}}, meta.CreateOptions{})
	create(err)
}

func (b *box) probeReady(t *testing.T, kube *kubernetes.Clientset, begin time.Time) time.Duration {
	t.Helper()
	eventually(t, "Ready pod of "+probe, func(ctx context.Context) (bool, string) {
		d, err := kube.AppsV1().Deployments(probe).Get(ctx, probe, meta.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		if d.Status.ReadyReplicas == 1 {
			return true, ""
		}
		pods, err := kube.CoreV1().Pods(probe).List(ctx, meta.ListOptions{})
		if err != nil || len(pods.Items) == 0 {
			return false, fmt.Sprint("no pod yet ", err)
		}
		status, _ := json.Marshal(pods.Items[0].Status)
		return false, string(status)
	})
	claim, err := kube.CoreV1().PersistentVolumeClaims(probe).Get(t.Context(), probe, meta.GetOptions{})
	if err != nil || claim.Status.Phase != core.ClaimBound {
		t.Fatalf("the claim is %v, %v", claim.Status.Phase, err)
	}
	return time.Since(begin)
}

// throughIngress asks for the probe's page on the box's LAN address, as a
// browser in the same house would.
func (b *box) throughIngress(t *testing.T) string {
	t.Helper()
	var body string
	eventually(t, "page through the ingress", func(ctx context.Context) (bool, string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", b.guest.State().Ports.HTTP), nil)
		if err != nil {
			return false, err.Error()
		}
		request.Host = probe + ".test"
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, err.Error()
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		body = string(content)
		return err == nil && response.StatusCode == http.StatusOK, response.Status
	})
	return body
}

// topNode asks metrics-server what `kubectl top node` asks.
func topNode(t *testing.T, kube *kubernetes.Clientset) string {
	t.Helper()
	var seen string
	eventually(t, "node metrics", func(ctx context.Context) (bool, string) {
		raw, err := kube.Discovery().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/nodes").DoRaw(ctx)
		if err != nil {
			return false, err.Error()
		}
		var list struct {
			Items []struct {
				Usage map[string]string `json:"usage"`
			} `json:"items"`
		}
		if err := json.Unmarshal(raw, &list); err != nil || len(list.Items) == 0 {
			return false, string(raw)
		}
		seen = "cpu " + list.Items[0].Usage["cpu"] + ", memory " + list.Items[0].Usage["memory"]
		return list.Items[0].Usage["memory"] != "", seen
	})
	return seen
}
