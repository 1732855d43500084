package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/addons"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/cloud"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/datastore"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/images"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/node"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// grace is how long components may take to stop. The API server answers what it
// was asked, at once, and then waits for watches to close; kube-proxy's never
// do. What matters is in the database by then.
const grace = 5 * time.Second

// run starts everything in the order in which the parts need each other and
// ends when the first of them does.
func (b *box) run(ctx context.Context, log *slog.Logger, ready *notifier) error {
	store, err := datastore.Start(b.paths.Database(), b.paths.KineSocket())
	if err != nil {
		return err
	}
	defer store.Stop()
	g := newGroup(ctx, log)
	g.start("kine", func(ctx context.Context) error {
		select {
		case err := <-store.Done():
			return err
		case <-ctx.Done():
			return nil
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", b.paths.Cred("supervisor.kubeconfig"))
	if err != nil {
		return fmt.Errorf("read supervisor's kubeconfig: %w", err)
	}
	// Its calls are few and must not wait for each other behind a rate limit.
	config.QPS, config.Burst = 50, 100
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	err = b.startAll(g, log, client, config, ready)
	if err != nil {
		g.fail(err)
	}
	return g.wait(grace)
}

func (b *box) startAll(g *group, log *slog.Logger, client kubernetes.Interface, config *rest.Config, ready *notifier) error {
	imported := b.startContainers(g, log)
	if err := b.startControlPlane(g, log, client); err != nil {
		return err
	}
	if err := b.startAddons(g, log, config); err != nil {
		return err
	}
	// Images come before the kubelet, so that it does not try to pull what an
	// archive was about to bring.
	select {
	case err := <-imported:
		if err != nil {
			return err
		}
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
	if err := b.startNode(g, log, client); err != nil {
		return err
	}
	return ready.ready()
}

func (b *box) startControlPlane(g *group, log *slog.Logger, client kubernetes.Interface) error {
	args, err := control.APIServerArgs(b.Server, b.paths, b.advertise())
	if err != nil {
		return err
	}
	gate, err := b.gate(client)
	if err != nil {
		return err
	}
	g.startLogged("kube-apiserver", args, func(ctx context.Context, args []string) error {
		return control.RunAPIServer(ctx, args, gate.Before)
	})
	if err := waitReady(g.ctx, log, client); err != nil {
		return err
	}
	if !b.DisableScheduler {
		g.startLogged("kube-scheduler", control.SchedulerArgs(b.Server, b.paths), control.RunScheduler)
	}
	g.startLogged("kube-controller-manager", control.ControllerManagerArgs(b.Server, b.paths), control.RunControllerManager)
	if b.DisableCloudController {
		return nil
	}
	args = control.CloudControllerArgs(b.Server, b.paths, cloud.ProviderName)
	g.startLogged("cloud-controller-manager", args, func(ctx context.Context, args []string) error {
		return cloud.Run(ctx, args, b.paths.Cred("cloud-controller.kubeconfig"), cloud.Node{
			Name: b.node, InternalIP: b.ip, ExternalIP: b.NodeExternalIP, LoadBalancerNamespace: b.ServiceLBNamespace,
		})
	})
	return nil
}

// startAddons applies manifests from the moment the API is there. The objects
// wait for the node; the wait costs less than starting later would.
func (b *box) startAddons(g *group, log *slog.Logger, config *rest.Config) error {
	v := addons.Values{
		NodeName: b.node, NodeIP: b.ip, ClusterDNS: b.ClusterDNS, ClusterDomain: b.ClusterDomain,
		LocalStoragePath: b.LocalStoragePath,
	}
	removed, err := addons.Stage(b.paths.Manifests(), v, b.addonOff)
	if err != nil {
		return err
	}
	d, err := addons.NewDeployer(b.paths.Manifests(), config, log)
	if err != nil {
		return err
	}
	g.start("deploy", func(ctx context.Context) error { return d.Run(ctx, removed, v) })
	return nil
}

func (b *box) addonOff(component string) bool {
	switch component {
	case "traefik":
		// In k3s Traefik is a Helm chart: without that controller it never comes.
		return b.Disabled(component) || b.DisableHelmController
	case "helm-crd":
		return b.DisableHelmController
	case "ccm":
		return b.DisableCloudController
	}
	return b.Disabled(component)
}

// startContainers brings up containerd and its images while the API server
// starts: the one is mostly disk, the other one core. The channel delivers once.
func (b *box) startContainers(g *group, log *slog.Logger) <-chan error {
	imported := make(chan error, 1)
	g.once("images", func(context.Context) error {
		imported <- b.bringImages(g, log)
		return nil
	})
	return imported
}

func (b *box) bringImages(g *group, log *slog.Logger) error {
	node.PrepareKernel(g.ctx, log, b.ProtectKernelDefaults)
	toml, err := node.ContainerdConfig(b.Server, b.paths)
	if err != nil {
		return err
	}
	g.start("containerd", func(ctx context.Context) error { return node.RunContainerd(ctx, b.paths, toml) })
	store, err := node.ConnectContainerd(g.ctx)
	if err != nil {
		return fmt.Errorf("wait for containerd: %w", err)
	}
	log.Info("containerd is now running")
	importer := &images.Importer{Dir: b.paths.Images(), Client: store, Log: log}
	if err := importer.ImportAll(g.ctx); err != nil {
		return err
	}
	g.start("image watch", importer.Watch)
	return nil
}

// startNode brings up the box's own half.
func (b *box) startNode(g *group, log *slog.Logger, client kubernetes.Interface) error {
	if b.EmbeddedRegistry {
		log.Warn("embedded-registry shares images between nodes; the lab's stand-in has one node and no registry")
	}
	if !b.DisableNetworkPolicy {
		log.Warn("NetworkPolicies are stored and not enforced: the lab's stand-in has no controller for them")
	}
	if err := node.Admit(g.ctx, log, client, b.node, b.password); err != nil {
		return err
	}
	g.start("node passwords", func(ctx context.Context) error { return node.ForgetDeleted(ctx, client) })
	if b.FlannelBackend == "vxlan" {
		g.start("pod network between nodes", node.Overlay{Client: client, Node: b.node, Log: log}.Run)
	}
	g.once("node role", func(ctx context.Context) error { return node.Mark(ctx, client, b.node, b.ip) })
	return b.startNodeComponents(g, client)
}

func (b *box) startNodeComponents(g *group, client kubernetes.Interface) error {
	g.startLogged("kubelet", node.KubeletArgs(b.Server, b.paths, b.node, b.ip), node.RunKubelet)
	if b.FlannelBackend != "none" {
		g.once("pod network", func(ctx context.Context) error { return node.ConfigureNetwork(ctx, client, b.node, b.paths) })
		g.start("pod network rules", func(ctx context.Context) error { return node.KeepRules(ctx, b.ClusterCIDR) })
	}
	if !b.DisableKubeProxy {
		g.startEndless("kube-proxy", node.ProxyArgs(b.Server, b.paths, b.node), node.RunProxy)
	}
	return nil
}

// waitReady waits for the API server to say that it is ready, and says now and
// then what it still waits for.
func waitReady(ctx context.Context, log *slog.Logger, client kubernetes.Interface) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for attempt := 0; ; attempt++ {
		body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "true").DoRaw(ctx)
		if err == nil {
			log.Info("Kube API server is now running")
			return nil
		}
		if attempt%10 == 5 {
			log.Info("Waiting for API server to become available", "missing", missing(string(body), err))
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// missing names the checks that are not yet satisfied, or says why nothing answers.
func missing(body string, err error) string {
	var names []string
	for line := range strings.Lines(body) {
		if name, ok := strings.CutPrefix(line, "[-]"); ok {
			names = append(names, strings.Fields(name)[0])
		}
	}
	if len(names) == 0 {
		return err.Error()
	}
	return strings.Join(names, " ")
}
