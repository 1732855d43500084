package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
)

// Names is what the cluster's certificates have to say.
type Names struct {
	Node    string
	NodeIPs []string
	Serving []string // every name and address of the API server
}

type issue struct {
	dir, name string
	ca        *Pair
	want      Want
}

// Ensure makes or renews everything under server/tls and the agent's copies.
func Ensure(p layout.Paths, n Names, now time.Time) error {
	server, err := Authority(p.TLS(), "server-ca", "k3s-server-ca", now)
	if err != nil {
		return err
	}
	client, err := Authority(p.TLS(), "client-ca", "k3s-client-ca", now)
	if err != nil {
		return err
	}
	front, err := Authority(p.TLS(), "request-header-ca", "k3s-request-header-ca", now)
	if err != nil {
		return err
	}
	for _, i := range append(controlPlane(p, n, server, client, front), nodeCerts(p, n, server, client)...) {
		if err := Issue(i.dir, i.name, i.ca, i.want, now); err != nil {
			return err
		}
	}
	// Service account tokens outlive restarts, so their key must as well.
	if _, err := loadOrMakeKey(p.TLS("service.key")); err != nil {
		return fmt.Errorf("make service account key: %w", err)
	}
	return errors.Join(
		copyTo(p.TLS("client-ca.crt"), p.Agent("client-ca.crt")),
		copyTo(p.TLS("server-ca.crt"), p.Agent("server-ca.crt")),
	)
}

func controlPlane(p layout.Paths, n Names, server, client, front *Pair) []issue {
	masters := []string{"system:masters"}
	local := []string{"localhost", "127.0.0.1", "::1"}
	tls := p.TLS()
	return []issue{
		{tls, "client-admin", client, Want{CommonName: "system:admin", Organization: masters}},
		{tls, "client-supervisor", client, Want{CommonName: "system:k3s-supervisor", Organization: masters}},
		{tls, "client-controller", client, Want{CommonName: "system:kube-controller-manager"}},
		{tls, "client-scheduler", client, Want{CommonName: "system:kube-scheduler"}},
		{tls, "client-k3s-cloud-controller", client, Want{CommonName: "k3s-cloud-controller-manager"}},
		{tls, "client-kube-apiserver", client, Want{CommonName: "system:apiserver", Organization: masters}},
		{tls, "client-auth-proxy", front, Want{CommonName: "system:auth-proxy"}},
		{tls, "serving-kube-apiserver", server, Want{CommonName: "kube-apiserver", Names: n.Serving}},
		{p.TLS("kube-controller-manager"), "kube-controller-manager", server, Want{CommonName: "kube-controller-manager", Names: local}},
		{p.TLS("kube-scheduler"), "kube-scheduler", server, Want{CommonName: "kube-scheduler", Names: local}},
		{p.TLS("cloud-controller-manager"), "cloud-controller-manager", server, Want{CommonName: "cloud-controller-manager", Names: local}},
	}
}

func nodeCerts(p layout.Paths, n Names, server, client *Pair) []issue {
	names := append([]string{n.Node, "localhost", "127.0.0.1"}, n.NodeIPs...)
	return []issue{
		{p.Agent(), "serving-kubelet", server, Want{CommonName: n.Node, Names: names}},
		{p.Agent(), "client-kubelet", client, Want{CommonName: "system:node:" + n.Node, Organization: []string{"system:nodes"}}},
		{p.Agent(), "client-kube-proxy", client, Want{CommonName: "system:kube-proxy"}},
		{p.Agent(), "client-k3s-controller", client, Want{CommonName: "system:k3s-controller"}},
	}
}

func copyTo(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy certificate: %w", err)
	}
	return writeFile(to, b, fs.FileMode(0o644))
}
