package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Dial connects from the box.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Health is how the cluster is.
type Health struct {
	Nodes []Node `json:"nodes"`
	Pods  []Pod  `json:"pods"`
}

// Node is one node of the cluster.
type Node struct {
	Name    string `json:"name"`
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"`
	Version string `json:"version"`
}

// Pod is one pod of the cluster. Done ones, of jobs, count as fine.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Phase     string `json:"phase"`
	Ready     bool   `json:"ready"`
	Done      bool   `json:"done,omitempty"`
	Restarts  int32  `json:"restarts"`
	Reason    string `json:"reason,omitempty"`
}

// Ready reports whether there is a node and every one is Ready.
func (h Health) Ready() bool {
	return len(h.Nodes) > 0 && !slices.ContainsFunc(h.Nodes, func(n Node) bool { return !n.Ready })
}

// answerWithin is generous: an old CPU needs seconds for a list of pods.
const answerWithin = time.Minute

// Read asks the API, through the box, with k3s's own kubeconfig.
func Read(ctx context.Context, k3s []byte, dial Dial) (Health, error) {
	api, err := connect(k3s, dial)
	if err != nil {
		return Health{}, err
	}
	defer api.http.CloseIdleConnections()
	var nodes corev1.NodeList
	if err := api.get(ctx, "/api/v1/nodes", &nodes); err != nil {
		return Health{}, fmt.Errorf("list nodes: %w", err)
	}
	var pods corev1.PodList
	if err := api.get(ctx, "/api/v1/pods", &pods); err != nil {
		return Health{}, fmt.Errorf("list pods: %w", err)
	}
	var h Health
	for _, n := range nodes.Items {
		h.Nodes = append(h.Nodes, nodeOf(n))
	}
	for _, p := range pods.Items {
		h.Pods = append(h.Pods, podOf(p))
	}
	return h, nil
}

// client makes the two requests that are needed of the API; the whole clientset
// would make the program half as large again.
type client struct {
	http *http.Client
	base string
}

func connect(k3s []byte, dial Dial) (*client, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(k3s)
	if err != nil {
		return nil, fmt.Errorf("read k3s's kubeconfig: %w", err)
	}
	config.Dial = dial
	config.Timeout = answerWithin
	h, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("prepare the API client: %w", err)
	}
	return &client{http: h, base: config.Host}, nil
}

func (c *client) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("the API answers %s: %s", resp.Status, text)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read the API's answer: %w", err)
	}
	return nil
}

func nodeOf(n corev1.Node) Node {
	out := Node{Name: n.Name, Version: n.Status.NodeInfo.KubeletVersion}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			out.Ready = c.Status == corev1.ConditionTrue
			if !out.Ready {
				out.Reason = cmp.Or(c.Message, c.Reason)
			}
		}
	}
	return out
}

func podOf(p corev1.Pod) Pod {
	out := Pod{Namespace: p.Namespace, Name: p.Name, Phase: string(p.Status.Phase), Done: p.Status.Phase == corev1.PodSucceeded, Reason: p.Status.Reason}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			out.Ready = c.Status == corev1.ConditionTrue
		}
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		out.Restarts += c.RestartCount
		if w := c.State.Waiting; w != nil && out.Reason == "" {
			out.Reason = w.Reason
		}
	}
	return out
}
