package pki

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// ForAgent makes the certificates and keys of a node on another box, by the
// names of their files below agent/. The server keeps none of the keys.
func ForAgent(p layout.Paths, node, ip string, now time.Time) (map[string][]byte, error) {
	server, err := Authority(p.TLS(), "server-ca", "k3s-server-ca", now)
	if err != nil {
		return nil, err
	}
	client, err := Authority(p.TLS(), "client-ca", "k3s-client-ca", now)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "k3s-agent-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := map[string][]byte{
		"server-ca.crt": encodeCert(server.Cert),
		"client-ca.crt": encodeCert(client.Cert),
	}
	for _, i := range nodeCerts(layout.Paths{Root: dir}, Names{Node: node, NodeIPs: []string{ip}}, server, client) {
		if err := Issue(dir, i.name, i.ca, i.want, now); err != nil {
			return nil, err
		}
		for _, name := range []string{i.name + ".crt", i.name + ".key"} {
			if out[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
	return out, nil
}

// Agent writes what a server gave an agent, and the kubeconfigs that lead there.
func Agent(p layout.Paths, given map[string][]byte, server string) error {
	for name, content := range given {
		if filepath.Base(name) != name {
			return fmt.Errorf("the server gave a file %q", name)
		}
		mode := os.FileMode(0o644)
		if filepath.Ext(name) == ".key" {
			mode = 0o600
		}
		if err := writeFile(p.Agent(name), content, mode); err != nil {
			return err
		}
	}
	for name, id := range map[string]string{"kubelet.kubeconfig": "client-kubelet", "kubeproxy.kubeconfig": "client-kube-proxy"} {
		cert, key := files(p.Agent(), id)
		content, err := clientcmd.Write(kubeconfig(
			api.Cluster{Server: server, CertificateAuthority: p.Agent("server-ca.crt")},
			api.AuthInfo{ClientCertificate: cert, ClientKey: key}, "local", "user"))
		if err != nil {
			return fmt.Errorf("encode kubeconfig: %w", err)
		}
		if err := writeFile(p.Agent(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
