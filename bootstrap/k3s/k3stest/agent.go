package k3stest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

const (
	// Token is what lets agents into the cluster of a Machine, a canary as well.
	Token     = "K10c0ffee::server:canary-7f3a-token"
	nodeToken = "/var/lib/rancher/k3s/server/node-token"
)

// member is a node of a server's cluster that runs on another machine.
type member struct {
	name, address, password string
	machine                 *Machine
}

// Join lets the machine's k3s-agent find its server: the API is answered if
// that has the address.
func (m *Machine) Join(server *Machine) {
	m.Systemd.Define("k3s-agent", func() error { return m.startAgent(server) })
}

type agentConfig struct {
	Server    string `yaml:"server"`
	TokenFile string `yaml:"token-file"`
	NodeName  string `yaml:"node-name"`
	NodeIP    string `yaml:"node-ip"`
}

// startAgent does what the unit does at each start: what is wrong in the
// agent's files, or in the server's firewall and certificate, keeps it out.
func (m *Machine) startAgent(server *Machine) error {
	var c agentConfig
	if err := yaml.Unmarshal([]byte(m.ReadFile(config)), &c); err != nil {
		return err
	}
	if !m.Exists(binary) || !m.Exists("/etc/systemd/system/k3s-agent.service") {
		return fmt.Errorf("no k3s")
	}
	if d := m.ReadFile(digest); d != "" {
		m.WriteFile(loaded, d, 0o644)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(c.Server, "https://"), ":6443")
	switch {
	case address != server.Address && address != server.Tailnet || server.Systemd.Unit("k3s").Active != "active":
		return nil // it runs, and tries again
	case !strings.Contains(server.Table(), "ip saddr "+c.NodeIP+" accept"):
		return nil
	case !strings.Contains(server.ReadFile(config), "- "+address):
		return nil
	case strings.TrimSpace(m.ReadFile(c.TokenFile)) != Token:
		return nil
	}
	const password = "/etc/rancher/node/password"
	if !m.Exists(password) {
		m.passwords++
		m.WriteFile(password, fmt.Sprintf("disk %d of %s\n", m.passwords, c.NodeName), 0o600)
	}
	server.admit(member{c.NodeName, c.NodeIP, m.ReadFile(password), m})
	return nil
}

// admit lets in who is not known yet, or is and has the same password.
func (m *Machine) admit(n member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.members, func(old member) bool { return old.name == n.name })
	switch {
	case i < 0:
		m.members = append(m.members, n)
	case m.members[i].password == n.password:
		m.members[i] = n
	}
}

// Nodes are the names of the agents that the server knows.
func (m *Machine) Nodes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, n := range m.members {
		out = append(out, n.name)
	}
	return out
}

// name is the node's: the configuration's, else the box's.
func (m *Machine) name() string {
	var c agentConfig
	if err := yaml.Unmarshal([]byte(m.ReadFile(config)), &c); err == nil && c.NodeName != "" {
		return c.NodeName
	}
	return strings.TrimSpace(m.ReadFile("/proc/sys/kernel/hostname"))
}

func (m *Machine) nodes() []any {
	m.mu.Lock()
	members := slices.Clone(m.members)
	m.mu.Unlock()
	var out []any
	for _, n := range members {
		out = append(out, n.object())
	}
	return append(out, m.self())
}

func (m *Machine) nodeNamed(name string) any {
	m.mu.Lock()
	members := slices.Clone(m.members)
	m.mu.Unlock()
	for _, n := range members {
		if n.name == name {
			return n.object()
		}
	}
	if name == m.name() {
		return m.self()
	}
	return nil
}

func (m *Machine) self() any {
	labels := map[string]any{"node-role.kubernetes.io/control-plane": "true"}
	return m.node(m.name(), m.Address, labels, true)
}

// object is Ready as long as the agent runs under the password that it came in
// with.
func (n member) object() any {
	ready := n.machine.Systemd.Unit("k3s-agent").Active == "active" && n.machine.ReadFile("/etc/rancher/node/password") == n.password
	return n.machine.node(n.name, n.address, nil, ready)
}

func (m *Machine) node(name, address string, labels map[string]any, ready bool) any {
	status, message := "True", "kubelet is posting ready status"
	if !ready {
		status, message = "Unknown", "Kubelet stopped posting node status."
	}
	return map[string]any{
		"metadata": map[string]any{"name": name, "labels": labels},
		"status": map[string]any{
			"addresses":  []any{map[string]any{"type": "InternalIP", "address": address}},
			"conditions": []any{map[string]any{"type": "Ready", "status": status, "message": message}},
			"nodeInfo":   map[string]any{"bootID": strings.TrimSpace(m.ReadFile("/proc/sys/kernel/random/boot_id")), "kubeletVersion": strings.Fields(m.ReadFile(binary) + " ? ?")[1], "containerRuntimeVersion": "containerd://2.3.4"},
		},
	}
}

// kubectl deletes nodes, drains them and deletes the records of their passwords.
func (m *Machine) kubectl(c *hosttest.Call, args []string) int {
	if m.Systemd.Unit("k3s").Active != "active" {
		return c.Errorf("The connection to the server was refused: %d", http.StatusServiceUnavailable)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch line := strings.Join(args, " "); {
	case strings.HasPrefix(line, "delete node "):
		m.members = slices.DeleteFunc(m.members, func(n member) bool { return n.name == args[2] })
	case strings.HasPrefix(line, "drain "), strings.HasPrefix(line, "-n kube-system delete secret "):
	default:
		return c.Errorf("k3stest has no kubectl %s", line)
	}
	return 0
}
