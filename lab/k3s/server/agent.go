package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/join"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/node"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/pki"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/settings"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// gate is what agents meet on the API server's port.
func (b *box) gate(client kubernetes.Interface) (join.Gate, error) {
	authority, err := os.ReadFile(b.paths.TLS("server-ca.crt"))
	if err != nil {
		return join.Gate{}, fmt.Errorf("read authority: %w", err)
	}
	return join.Gate{
		Secret: b.secret, Authority: authority,
		Answer: join.Answer{
			ClusterCIDR: b.ClusterCIDR, ServiceCIDR: b.ServiceCIDR, ClusterDNS: b.ClusterDNS,
			ClusterDomain: b.ClusterDomain, FlannelBackend: b.FlannelBackend,
		},
		Admit: func(ctx context.Context, name, password string) error {
			if name == b.node {
				return errors.New("the server itself is the node " + name)
			}
			return node.AdmitOnce(ctx, client, name, password)
		},
		Issue: func(name, ip string) (map[string][]byte, error) {
			return pki.ForAgent(b.paths, name, ip, time.Now())
		},
	}, nil
}

// runAgent is `k3s agent`: a server's node half, with what a server settles by
// itself asked of one.
func runAgent(s *settings.Server, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if os.Getuid() != 0 {
		return errors.New("must run as root")
	}
	log.Info("Starting k3s agent "+os.Getenv("SSG_LAB_K3S_RELEASE"), "stand-in", true)
	ready := newNotifier(os.Getenv("NOTIFY_SOCKET"))
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return err
	}
	control.ShareLogging()
	b := &box{Server: s, paths: layout.Paths{Root: s.DataDir}, bin: filepath.Join(os.Getenv("K3S_DATA_DIR"), "bin"), api: s.JoinURL}
	var err error
	if b.password, err = node.Password(layout.NodePassword); err != nil {
		return err
	}
	if b.node, err = node.Name(s.NodeName); err != nil {
		return err
	}
	if b.ip, err = node.Address(s.NodeIP, s.FlannelIface); err != nil {
		return err
	}
	if err := b.join(ctx, log); err != nil {
		return err
	}
	return b.runNode(ctx, log, ready)
}

// join asks until the server lets the agent in, as k3s does: the server may be
// starting, and somebody may delete the record of an older password meanwhile.
func (b *box) join(ctx context.Context, log *slog.Logger) error {
	var answer join.Answer
	err := wait.PollUntilContextCancel(ctx, 5*time.Second, true, func(ctx context.Context) (bool, error) {
		var err error
		answer, err = join.Ask(ctx, b.JoinURL, b.Token, join.Request{Node: b.node, IP: b.ip, Password: b.password})
		if err != nil {
			log.Error("Waiting to retrieve agent configuration; server is not ready: " + err.Error())
		}
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	b.ClusterCIDR, b.ServiceCIDR, b.ClusterDNS = answer.ClusterCIDR, answer.ServiceCIDR, answer.ClusterDNS
	b.ClusterDomain, b.FlannelBackend = answer.ClusterDomain, answer.FlannelBackend
	if err := pki.Agent(b.paths, answer.Files, b.api); err != nil {
		return fmt.Errorf("write what the server gave: %w", err)
	}
	if err := node.KubeletConfig(b.Server, b.paths); err != nil {
		return err
	}
	return node.LinkPlugins(b.paths, b.bin)
}

func (b *box) runNode(ctx context.Context, log *slog.Logger, ready *notifier) error {
	// The kubelet may look at its own node only; kube-proxy may look at all.
	clients := map[string]kubernetes.Interface{}
	for _, name := range []string{"kubelet.kubeconfig", "kubeproxy.kubeconfig"} {
		config, err := clientcmd.BuildConfigFromFlags("", b.paths.Agent(name))
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if clients[name], err = kubernetes.NewForConfig(config); err != nil {
			return err
		}
	}
	g := newGroup(ctx, log)
	err := b.bringImages(g, log)
	if err == nil && b.FlannelBackend == "vxlan" {
		g.start("pod network between nodes", node.Overlay{Client: clients["kubeproxy.kubeconfig"], Node: b.node, Log: log}.Run)
	}
	if err == nil {
		err = b.startNodeComponents(g, clients["kubelet.kubeconfig"])
	}
	if err == nil {
		err = ready.ready()
	}
	if err != nil {
		g.fail(err)
	}
	return g.wait(grace)
}
