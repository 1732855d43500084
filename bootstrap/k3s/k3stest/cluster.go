package k3stest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

const (
	binary = "/usr/local/bin/k3s"
	config = "/etc/rancher/k3s/config.yaml"
	images = "/var/lib/rancher/k3s/agent/images/k3s-airgap-images-amd64.tar.zst"
	digest = "/var/lib/ssg-bootstrap/k3s.digest"
	loaded = "/run/ssg-bootstrap/k3s.digest"
	socket = "/run/k3s/containerd/containerd.sock"
)

// k3s is the program itself: what it says of its version is the second word
// of its file, as Release writes it. Its ctr is a model of its own.
func (m *Machine) k3s(c *hosttest.Call) int {
	if len(c.Args) > 1 && c.Args[1] == "kubectl" {
		return m.kubectl(c, c.Args[2:])
	}
	if len(c.Args) > 1 && c.Args[1] == "ctr" {
		return c.Exec(c.Args[1:])
	}
	words := strings.Fields(m.ReadFile(binary))
	if len(words) < 2 || !c.Has("--version") {
		return c.Errorf("k3s: not a program")
	}
	c.Printf("k3s version %s (0123abcd)\ngo version go1.26.8\n", words[1])
	return 0
}

// startK3s does what the unit does at each start, as far as the files are
// there.
func (m *Machine) startK3s() error {
	for _, path := range []string{binary, config, "/etc/systemd/system/k3s.service"} {
		if !m.Exists(path) {
			return fmt.Errorf("%s: no such file", path)
		}
	}
	if err := os.RemoveAll(m.Path(loaded)); err != nil {
		return err
	}
	if d := m.ReadFile(digest); d != "" {
		m.WriteFile(loaded, d, 0o644)
	}
	m.WriteFile(socket, "", 0o600)
	m.WriteFile("/etc/rancher/k3s/k3s.yaml", "apiVersion: v1\nkind: Config\n", 0o600)
	m.WriteFile("/etc/rancher/node/password", "password of "+m.name()+"\n", 0o600)
	m.WriteFile(nodeToken, Token+"\n", 0o600)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = 0
	return nil
}

// openssl is s_client with requests on its input, connected to the API server
// if that runs.
func (m *Machine) openssl(c *hosttest.Call) int {
	if m.Systemd.Unit("k3s").Active != "active" {
		return c.Errorf("connect: Connection refused")
	}
	if !c.Root {
		return c.Errorf("Could not open file or uri for loading client certificate private key")
	}
	m.mu.Lock()
	m.asked++
	warm := m.asked - m.Probes
	m.mu.Unlock()
	if warm < 0 {
		return c.Errorf("connect: Connection refused")
	}
	for r := bufio.NewReader(c.Stdin); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return 0
		}
		status, body := m.answer(req.URL.Path, warm > 0)
		c.Printf("HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(body), body)
		if req.Close {
			return 0
		}
	}
}

func (m *Machine) answer(path string, warm bool) (int, string) {
	switch {
	case path == "/readyz" && !warm:
		return http.StatusInternalServerError, "[+]ping ok\n[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n"
	case path == "/readyz":
		return http.StatusOK, "ok"
	case strings.HasPrefix(path, "/api/v1/nodes/") && warm:
		if n := m.nodeNamed(strings.TrimPrefix(path, "/api/v1/nodes/")); n != nil {
			return http.StatusOK, text(n)
		}
	case path == "/api/v1/nodes" && warm:
		return http.StatusOK, text(map[string]any{"items": m.nodes()})
	case strings.HasSuffix(path, "/pods") && warm:
		return http.StatusOK, text(m.pods())
	}
	return http.StatusNotFound, "{}"
}

// pods run once the images are on the box.
func (m *Machine) pods() any {
	ready, status := "0/1", "ContainerCreating"
	if m.Exists(images) {
		ready, status = "1/1", "Running"
	}
	var rows []any
	for _, name := range []string{"coredns-695cbbfcb9-x2x5k", "local-path-provisioner-546dfc6456-9xk2p", "metrics-server-c8774f4f4-7tqkh", "traefik-788bc4688c-vhdsf", "svclb-traefik-f7b1c5d2-8wz4q"} {
		rows = append(rows, map[string]any{"cells": []any{name, ready, status, "0", "1m"}})
	}
	var columns []any
	for _, name := range []string{"Name", "Ready", "Status", "Restarts", "Age"} {
		columns = append(columns, map[string]any{"name": name})
	}
	return map[string]any{"kind": "Table", "columnDefinitions": columns, "rows": rows}
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
