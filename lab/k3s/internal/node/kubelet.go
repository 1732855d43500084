package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/settings"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelet "k8s.io/kubelet/config/v1beta1"
	proxyapp "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// KubeletConfig writes the drop-in with k3s's defaults. Files beside it with a
// later name override it, and kubelet-arg overrides them all.
func KubeletConfig(s *settings.Server, p layout.Paths) error {
	c := kubelet.KubeletConfiguration{
		TypeMeta:                 metav1.TypeMeta{Kind: "KubeletConfiguration", APIVersion: "kubelet.config.k8s.io/v1beta1"},
		Address:                  "0.0.0.0",
		CgroupDriver:             cgroupDriver(),
		ClusterDNS:               []string{s.ClusterDNS},
		ClusterDomain:            s.ClusterDomain,
		FailSwapOn:               ptr.To(false),
		StaticPodPath:            p.Agent("pod-manifests"),
		TLSCertFile:              p.Agent("serving-kubelet.crt"),
		TLSPrivateKeyFile:        p.Agent("serving-kubelet.key"),
		HealthzBindAddress:       "127.0.0.1",
		SerializeImagePulls:      ptr.To(false),
		ContainerRuntimeEndpoint: "unix://" + layout.ContainerdSocket,
		ProtectKernelDefaults:    s.ProtectKernelDefaults,
		EvictionHard:             map[string]string{"imagefs.available": "5%", "nodefs.available": "5%"},
		EvictionMinimumReclaim:   map[string]string{"imagefs.available": "10%", "nodefs.available": "10%"},
		AllowedUnsafeSysctls:     []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"},
	}
	c.Authentication.Anonymous.Enabled = ptr.To(false)
	c.Authentication.Webhook.Enabled = ptr.To(true)
	c.Authentication.X509.ClientCAFile = p.Agent("client-ca.crt")
	c.Authorization.Mode = kubelet.KubeletAuthorizationModeWebhook
	if s.ResolvConf != "" {
		c.ResolverConfig = ptr.To(s.ResolvConf)
	}
	content, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode kubelet configuration: %w", err)
	}
	if err := os.MkdirAll(c.StaticPodPath, 0o700); err != nil {
		return err
	}
	return writeFile(filepath.Join(kubeletDropins(p), "00-k3s-defaults.conf"), content, 0o600)
}

func kubeletDropins(p layout.Paths) string { return p.Agent("etc", "kubelet.conf.d") }

// KubeletArgs are the kubelet's flags: what no configuration file can say.
func KubeletArgs(s *settings.Server, p layout.Paths, name, ip string) []string {
	one := func(v string) []string { return []string{v} }
	a := control.Verbosity(s)
	for k, v := range map[string]string{
		"cloud-provider":    "external",
		"config-dir":        kubeletDropins(p),
		"hostname-override": name,
		"kubeconfig":        p.Agent("kubelet.kubeconfig"),
		"node-ip":           ip,
	} {
		a[k] = one(v)
	}
	if labels := strings.Join(s.NodeLabels, ","); labels != "" {
		a["node-labels"] = one(labels)
	}
	if taints := strings.Join(s.NodeTaints, ","); taints != "" {
		a["register-with-taints"] = one(taints)
	}
	return a.Merge(s.KubeletArgs).List()
}

// RunKubelet runs the kubelet. It takes the process's signal handler: the other
// components were given a context instead.
func RunKubelet(ctx context.Context, args []string) error {
	cmd := kubeletapp.NewKubeletCommand(ctx)
	cmd.SetArgs(args)
	cmd.SilenceErrors = true
	if err := cmd.ExecuteContext(ctx); err != nil {
		return err
	}
	// It ends well only after a signal, which it may have seen before we did.
	<-ctx.Done()
	return nil
}

// ProxyArgs are kube-proxy's flags.
func ProxyArgs(s *settings.Server, p layout.Paths, name string) []string {
	a := control.Verbosity(s)
	for k, v := range map[string]string{
		"cluster-cidr":                      s.ClusterCIDR,
		"conntrack-max-per-core":            "0",
		"conntrack-tcp-timeout-close-wait":  "0s",
		"conntrack-tcp-timeout-established": "0s",
		"healthz-bind-address":              "127.0.0.1",
		"hostname-override":                 name,
		"kubeconfig":                        p.Agent("kubeproxy.kubeconfig"),
		"proxy-mode":                        "iptables",
	} {
		a[k] = []string{v}
	}
	return a.Merge(slices.Clone(s.KubeProxyArgs)).List()
}

// RunProxy runs kube-proxy.
func RunProxy(ctx context.Context, args []string) error {
	cmd := proxyapp.NewProxyCommand()
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	return cmd.ExecuteContext(ctx)
}
