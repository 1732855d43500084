package k3s

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
)

const header = managed.Marker + "\n"

// loaded is everything that k3s's process takes in when it starts. Files are
// rendered from it, and its digest says whether a restart is due: two that
// differ only in comments or in the order of keys are equal.
type loaded struct {
	Config  map[string]any    `json:"config"`
	Kubelet map[string]any    `json:"kubelet"`
	Env     map[string]string `json:"env"`
	// Containerd holds settings of its CRI runtime plugin.
	Containerd map[string]string `json:"containerd,omitempty"`
	Unit       []string          `json:"unit"`
	// Binary is k3s's SHA-256; it is known only once the release is.
	Binary string `json:"binary"`
	// Cluster is the part of an agent's token that names the cluster and is no
	// secret. A secret that changed alone is no reason to restart: an agent that
	// is in the cluster needs it only to get in.
	Cluster string `json:"cluster,omitempty"`
}

func newLoaded(s spec.Spec) loaded {
	return loaded{
		Config:     config(s),
		Kubelet:    kubelet(s),
		Env:        environment(s),
		Containerd: containerd(s),
		Unit:       directives(serverKind.text(unitText)),
	}
}

// newAgentLoaded is what an agent takes in. Of the profile's settings it gets
// those that say how a node runs: the others are the server's, and some of those
// would be secrets that an agent must not know.
func newAgentLoaded(s spec.Spec, f facts.Facts) loaded {
	c := map[string]any{
		"server":        "https://" + f.Cluster.Server.Address + ":6443",
		"token-file":    tokenPath,
		"node-name":     s.NodeName,
		"node-ip":       f.Cluster.Address,
		"flannel-iface": f.Network.Device(f.Cluster.Address),
	}
	if args := arguments(s.Profile.K3s.KubeProxyArgs); len(args) > 0 {
		slices.Sort(args)
		c["kube-proxy-arg"] = args
	}
	ofNode := []string{"node-label", "node-taint", "kubelet-arg", "pause-image", "prefer-bundled-bin", "protect-kernel-defaults", "resolv-conf", "selinux", "snapshotter"}
	for _, key := range ofNode {
		if v, set := s.Profile.K3s.Config[key]; set {
			c[key] = v
		}
	}
	return loaded{Config: c, Kubelet: kubelet(s), Env: environment(s), Containerd: containerd(s), Unit: directives(agentKind.text(unitText))}
}

// among returns what a server loads that has agents: its certificate holds the
// address at which they reach it, and where that is not the one that k3s would
// take by itself, node and overlay are put on it too, or the boxes would send
// their pods' packets to an address that leads nowhere.
func (l loaded) among(f facts.Facts) loaded {
	address := f.Cluster.Address
	if f.Cluster.Alone() || f.Cluster.Server.Name != "" {
		return l
	}
	l = l.with([]string{address})
	if address != f.Network.Main() {
		l.Config["node-ip"], l.Config["flannel-iface"] = address, f.Network.Device(address)
	}
	return l
}

// digest returns a hex digest of what l means.
func (l loaded) digest(binary string) (string, error) {
	l.Binary = binary
	// JSON writes maps in the order of their keys.
	text, err := json.Marshal(l)
	if err != nil {
		return "", fmt.Errorf("digest what k3s loads: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// config returns config.yaml's keys.
func config(s spec.Spec) map[string]any {
	p := s.Profile.K3s
	c := map[string]any{
		"node-name":             s.NodeName,
		"write-kubeconfig-mode": "0600",
	}
	list := func(key string, values []string) {
		if len(values) > 0 {
			slices.Sort(values)
			c[key] = slices.Compact(values)
		}
	}
	list("tls-san", slices.Clone(s.TLSSANs))
	list("disable", slices.Clone(p.Disable))
	list("kube-apiserver-arg", arguments(p.APIServerArgs))
	list("kube-controller-manager-arg", arguments(p.ControllerManagerArgs))
	list("kube-scheduler-arg", arguments(p.SchedulerArgs))
	list("kube-proxy-arg", arguments(p.KubeProxyArgs))
	maps.Copy(c, p.Config)
	return c
}

func arguments(m map[string]string) []string {
	var out []string
	for k, v := range m {
		out = append(out, k+"="+v)
	}
	return out
}

// kubelet returns the drop-in's fields.
func kubelet(s spec.Spec) map[string]any {
	k := maps.Clone(s.Profile.K3s.Kubelet)
	if k == nil {
		k = map[string]any{}
	}
	k["apiVersion"] = "kubelet.config.k8s.io/v1beta1"
	k["kind"] = "KubeletConfiguration"
	return k
}

// environment returns the variables that the Go runtimes read. They are in
// /etc/default/k3s because k3s.service.env belongs to k3s's own installer,
// which would drop them.
func environment(s spec.Spec) map[string]string {
	p := s.Profile.K3s
	env := map[string]string{}
	for k, v := range map[string]string{
		"GOMEMLIMIT": p.GoMemLimit, "GOGC": p.GoGC,
		"CONTAINERD_GOMEMLIMIT": p.ContainerdGoMemLimit, "CONTAINERD_GOGC": p.ContainerdGoGC,
	} {
		if v != "" {
			env[k] = v
		}
	}
	return env
}

// containerd returns the drop-in's settings.
func containerd(s spec.Spec) map[string]string {
	if p := s.Profile.K3s.ContainerdStatsPeriod; p != 0 {
		return map[string]string{"stats_collect_period": p.String()}
	}
	return nil
}

// containerdText renders them. Without any the file says nothing, so that what
// it said before is gone.
func containerdText(settings map[string]string) []byte {
	var b bytes.Buffer
	b.WriteString(header + "version = 3\n")
	if len(settings) > 0 {
		b.WriteString("\n[plugins.'io.containerd.cri.v1.runtime']\n")
	}
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %q\n", k, settings[k])
	}
	return b.Bytes()
}

// yamlText renders keys in their order, so that equal maps are equal files.
func yamlText(m map[string]any) ([]byte, error) {
	var items yaml.MapSlice
	for _, k := range slices.Sorted(maps.Keys(m)) {
		items = append(items, yaml.MapItem{Key: k, Value: m[k]})
	}
	body, err := yaml.Marshal(items)
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return append([]byte(header), body...), nil
}

func envText(env map[string]string) []byte {
	var b bytes.Buffer
	b.WriteString(header)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "%s=%s\n", k, env[k])
	}
	return b.Bytes()
}

// directives returns a unit's lines without comments and blank ones.
func directives(unit string) []string {
	var out []string
	for line := range strings.Lines(unit) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			out = append(out, line)
		}
	}
	return out
}

// redact takes the values of k3s's secret settings out of a configuration or
// an environment file.
func redact(content []byte) []byte {
	secret := regexp.MustCompile(`(?mi)^([\s"'-]*[\w.+-]*(?:token|secret|password|vpn-auth|datastore-endpoint|access-key|passphrase)[\w.+-]*["']?\s*[:=]\s*).+$`)
	return secret.ReplaceAll(content, []byte("${1}[secret]"))
}
