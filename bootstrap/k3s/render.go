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
	Unit    []string          `json:"unit"`
	// Binary is k3s's SHA-256; it is known only once the release is.
	Binary string `json:"binary"`
}

func newLoaded(s spec.Spec) loaded {
	return loaded{
		Config:  config(s),
		Kubelet: kubelet(s),
		Env:     environment(s),
		Unit:    directives(unitText),
	}
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
