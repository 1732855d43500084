package tailnettest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

const (
	daemon   = "/usr/sbin/tailscaled"
	state    = "/var/lib/tailscale/tailscaled.state"
	socket   = "/run/tailscale/tailscaled.sock"
	digest   = "/var/lib/ssg-bootstrap/tailscaled.digest"
	loaded   = "/run/ssg-bootstrap/tailscaled.digest"
	keyFiles = "/run/ssg-bootstrap"
	profile  = "profile-0001"
)

// Node is a box's tailscaled. What it is lies in its state file, as on a real
// box.
type Node struct {
	box     *hosttest.Box
	control *Control

	mu sync.Mutex
	// backend is the engine's state, spent says that a key was refused while
	// the node was joined.
	backend string
	spent   string
	// SeenKeys are the keys that the client was given.
	SeenKeys []string
}

// kept is what the state file holds.
type kept struct {
	ID, Server, Host string
	Tags             []string
	Down             bool
}

// NewNode models tailscaled and its client on a box.
func NewNode(box *hosttest.Box, control *Control) *Node {
	n := &Node{box: box, control: control}
	box.Command("tailscale", n.client)
	box.Systemd.Define("tailscaled", n.start)
	return n
}

func (n *Node) read() kept {
	file := map[string]kept{}
	if text := n.box.ReadFile(state); text != "" {
		if err := json.Unmarshal([]byte(text), &file); err != nil {
			panic(err)
		}
	}
	return file[profile]
}

func (n *Node) write(k kept) {
	file := map[string]kept{}
	if k.ID != "" {
		file[profile] = k
	}
	text, err := json.Marshal(file)
	if err != nil {
		panic(err)
	}
	n.box.WriteFile(state, string(text), 0o600)
}

// start is a start of the daemon, as its unit does it.
func (n *Node) start() error {
	for _, path := range []string{daemon, "/etc/default/tailscaled", "/usr/lib/systemd/system/tailscaled.service"} {
		if !n.box.Exists(path) {
			return fmt.Errorf("%s: no such file", path)
		}
	}
	_ = os.RemoveAll(n.box.Path(loaded))
	if d := n.box.ReadFile(digest); d != "" {
		n.box.WriteFile(loaded, d, 0o644)
	}
	n.box.WriteFile(socket, "", 0o666)
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.read()
	switch {
	case k.ID == "":
		n.write(k) // an empty one, as the real one does at once
		n.backend = "NeedsLogin"
	case n.spent != "":
		// With a spent key at hand it does not get in again by itself.
		n.backend = "NoState"
	case k.Down:
		n.backend = "Stopped"
	default:
		n.connect(k)
	}
	n.spent = ""
	return nil
}

// connect brings a node with keys in.
func (n *Node) connect(k kept) {
	n.control.Lock()
	defer n.control.Unlock()
	d := n.control.find(k.ID)
	switch {
	case n.control.Down:
		n.backend = "NoState"
	case d == nil:
		n.backend = "NeedsLogin"
	case n.control.Approval:
		n.backend = "NeedsMachineAuth"
	case n.control.NoRelay:
		n.backend = "Starting"
	default:
		d.Connected = true
		n.backend = "Running"
	}
}

// Set puts the engine into a state.
func (n *Node) Set(backend string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.backend = backend
}

// State is the engine's state.
func (n *Node) State() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.backend
}

// LeavesKeys tells whether a key lies about on the box.
func (n *Node) LeavesKeys() bool {
	entries, err := os.ReadDir(n.box.Path(keyFiles))
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "tailnet-key.") })
}

func (n *Node) client(c *hosttest.Call) int {
	if !n.box.Exists(socket) || n.box.Systemd.Unit("tailscaled").Active != "active" {
		return c.Errorf("failed to connect to local tailscaled; it doesn't appear to be running")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case len(c.Args) > 1 && c.Args[1] == "status" && c.Has("--json"):
		return n.status(c)
	case len(c.Args) > 1 && c.Args[1] == "up":
		if !c.Root {
			return c.Errorf("Access denied: checkprefs access denied")
		}
		return n.up(c)
	case len(c.Args) > 1 && c.Args[1] == "logout":
		return n.logout(c)
	}
	return c.Errorf("tailscale %v is not modelled", c.Args)
}

func (n *Node) status(c *hosttest.Call) int {
	k := n.read()
	if k.ID != "" && (n.backend == "NeedsMachineAuth" || n.backend == "Starting") {
		n.connect(k) // what kept it may be gone
	}
	out := map[string]any{
		"Version": "1.102.5-t0", "BackendState": n.backend, "HaveNodeKey": k.ID != "", "Health": []string{},
		"TailscaleIPs": nil, "Self": map[string]any{"HostName": k.Host},
	}
	if n.backend == "Starting" {
		out["Health"] = []string{"Tailscale could not connect to any relay server. Check your Internet connection."}
	}
	if n.spent != "" {
		out["Health"] = []string{"You are logged out. The last login error was: " + n.spent}
	}
	n.control.Lock()
	d := n.control.find(k.ID)
	n.control.Unlock()
	if d != nil {
		out["Self"] = map[string]any{
			"ID": d.ID, "HostName": d.Host, "DNSName": d.Name + "." + Suffix + ".", "TailscaleIPs": []string{d.IP}, "Tags": d.Tags,
			"Online": n.backend == "Running", "Relay": "lab",
		}
		if n.backend == "Running" {
			out["TailscaleIPs"] = []string{d.IP}
			out["CurrentTailnet"] = map[string]any{"Name": "example.com", "MagicDNSSuffix": Suffix, "MagicDNSEnabled": true}
		}
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return c.Errorf("%v", err)
	}
	c.Printf("%s\n", text)
	return 0
}

// up is `tailscale up` as far as the installer's flags go; any other is an
// error.
func (n *Node) up(c *hosttest.Call) int {
	flags := map[string]string{}
	for _, a := range c.Args[2:] {
		name, value, ok := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		if !ok || !slices.Contains([]string{"auth-key", "login-server", "hostname", "advertise-tags", "accept-dns", "timeout"}, name) {
			return c.Errorf("flag provided but not defined: -%s", name)
		}
		flags[name] = value
	}
	if flags["timeout"] == "" || flags["accept-dns"] != "false" {
		return c.Errorf("Error: changing settings via 'tailscale up' requires mentioning all\nnon-default flags.")
	}
	key := ""
	if at := flags["auth-key"]; at != "" {
		info, err := os.Stat(n.box.Path(strings.TrimPrefix(at, "file:")))
		if err != nil || !strings.HasPrefix(at, "file:/run/") || info.Mode().Perm() != 0o600 {
			return c.Errorf("the key is not in a file of root's: %v", err)
		}
		key = strings.TrimSpace(n.box.ReadFile(strings.TrimPrefix(at, "file:")))
		n.SeenKeys = append(n.SeenKeys, key)
	}
	return n.comeUp(c, flags, key)
}

func (n *Node) comeUp(c *hosttest.Call, flags map[string]string, key string) int {
	k := n.read()
	tags := strings.FieldsFunc(flags["advertise-tags"], func(r rune) bool { return r == ',' })
	n.control.Lock()
	down, known := n.control.Down, n.control.find(k.ID)
	n.control.Unlock()
	const timeout = "timeout waiting for Tailscale service to enter a Running state; check health with \"tailscale status\""
	switch {
	case n.backend == "Running" && k.Server != flags["login-server"]:
		return c.Errorf("can't change --login-server without --force-reauth")
	case n.backend == "Running" && key != "":
		// The old session goes on; what it was given breaks the next start.
		n.spent = "invalid key: API key does not exist"
		return c.Errorf("backend error: %s", n.spent)
	case down:
		return c.Errorf(timeout)
	case known == nil && key == "":
		n.backend = "NeedsLogin"
		return c.Errorf(timeout)
	case known == nil:
		n.control.Lock()
		d, err := n.control.register(flags["hostname"], key, tags)
		n.control.Unlock()
		if err != nil {
			return c.Errorf("backend error: %v", err)
		}
		k = kept{ID: d.ID}
	}
	k.Server, k.Host, k.Tags, k.Down = flags["login-server"], flags["hostname"], tags, false
	n.write(k)
	n.connect(k)
	if n.backend != "Running" && n.backend != "NeedsMachineAuth" {
		return c.Errorf(timeout)
	}
	return 0
}

func (n *Node) logout(*hosttest.Call) int {
	k := n.read()
	n.control.Lock()
	n.control.Devices = slices.DeleteFunc(n.control.Devices, func(d *Device) bool { return d.ID == k.ID })
	n.control.Unlock()
	n.write(kept{})
	n.backend = "NeedsLogin"
	return 0
}
