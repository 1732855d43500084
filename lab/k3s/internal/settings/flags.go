package settings

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// flagSet binds k3s's flags to a Server. The standard library's parser is the
// one under k3s's own, so messages about unknown flags are the same.
type flagSet struct {
	set     *flag.FlagSet
	aliases map[string]string // short or other name -> flag name
	lists   map[string]bool   // flags that collect values
	envs    map[string]string // flag name -> environment variable
}

func newFlagSet(s *Server) *flagSet {
	f := &flagSet{
		set:     flag.NewFlagSet("server", flag.ContinueOnError),
		aliases: map[string]string{},
		lists:   map[string]bool{},
		envs:    map[string]string{},
	}
	f.set.SetOutput(io.Discard)
	f.bindGeneral(s)
	f.bindNode(s)
	f.bindCluster(s)
	f.bindComponents(s)
	f.bindUnsupported()
	return f
}

func (f *flagSet) bindGeneral(s *Server) {
	f.text(&s.ConfigFile, "config,c", "K3S_CONFIG_FILE", "configuration file")
	f.text(&s.DataDir, "data-dir,d", "", "folder to hold state")
	f.text(&s.KubeconfigFile, "write-kubeconfig,o", "K3S_KUBECONFIG_OUTPUT", "where to write the admin kubeconfig")
	f.text(&s.KubeconfigMode, "write-kubeconfig-mode", "K3S_KUBECONFIG_MODE", "its mode")
	f.text(&s.KubeconfigGroup, "write-kubeconfig-group", "K3S_KUBECONFIG_GROUP", "its group")
	f.text(&s.Token, "token,t", "K3S_TOKEN", "shared secret of the cluster")
	f.text(&s.TokenFile, "token-file", "K3S_TOKEN_FILE", "file with the shared secret")
	f.text(&s.JoinURL, "server,s", "K3S_URL", "the server to join, for k3s agent")
	f.flag(&s.Debug, "debug", "K3S_DEBUG", "log more")
	f.number(&s.Verbosity, "v", "log verbosity")
	f.text(&s.VModule, "vmodule", "", "log verbosity by file")
	f.text(&s.LogFile, "log,l", "", "log to this file")
	f.flag(&s.AlsoLogToStderr, "alsologtostderr", "", "log to standard error as well")
	f.flag(&s.Rootless, "rootless", "", "not available here")
	f.flag(&s.PreferBundledBin, "prefer-bundled-bin", "", "prefer the release's own programs to the host's")
	f.flag(&s.SELinux, "selinux", "K3S_SELINUX", "let containerd use SELinux")
}

func (f *flagSet) bindNode(s *Server) {
	f.text(&s.NodeName, "node-name", "K3S_NODE_NAME", "node name")
	f.flag(&s.WithNodeID, "with-node-id", "", "append an id to the node name")
	f.text(&s.NodeIP, "node-ip,i", "", "address to advertise for the node")
	f.text(&s.NodeExternalIP, "node-external-ip", "", "external address to advertise for the node")
	f.list(&s.NodeLabels, "node-label", "label to register the node with")
	f.list(&s.NodeTaints, "node-taint", "taint to register the node with")
	f.text(&s.Snapshotter, "snapshotter", "", "containerd snapshotter")
	f.text(&s.PauseImage, "pause-image", "", "sandbox image")
	f.text(&s.ResolvConf, "resolv-conf", "K3S_RESOLV_CONF", "resolv.conf for the kubelet")
	f.flag(&s.ProtectKernelDefaults, "protect-kernel-defaults", "", "refuse to start if kernel settings differ from the kubelet's")
	f.flag(&s.EmbeddedRegistry, "embedded-registry", "", "share images between nodes")
	f.text(&s.LocalStoragePath, "default-local-storage-path", "", "folder of the local-path volumes")
}

func (f *flagSet) bindCluster(s *Server) {
	f.text(&s.AdvertiseAddress, "advertise-address", "", "address that the API server advertises")
	f.text(&s.BindAddress, "bind-address", "", "address to listen on")
	f.number(&s.HTTPSPort, "https-listen-port", "port to listen on")
	f.list(&s.TLSSANs, "tls-san", "further name or address for the serving certificate")
	f.flag(&s.TLSSANSecurity, "tls-san-security", "", "refuse names that are not in the certificate")
	f.text(&s.ClusterCIDR, "cluster-cidr", "", "network of pods")
	f.text(&s.ServiceCIDR, "service-cidr", "", "network of services")
	f.text(&s.ServiceNodePortRange, "service-node-port-range", "", "ports for NodePort services")
	f.text(&s.ClusterDNS, "cluster-dns", "", "address of the DNS service")
	f.text(&s.ClusterDomain, "cluster-domain", "", "DNS domain of the cluster")
	f.text(&s.FlannelBackend, "flannel-backend", "", "none, vxlan, host-gw or wireguard-native")
	f.text(&s.FlannelIface, "flannel-iface", "", "interface whose address the node takes")
	f.text(&s.EgressSelectorMode, "egress-selector-mode", "", "agent, cluster, pod or disabled")
	f.text(&s.ServiceLBNamespace, "servicelb-namespace", "", "namespace of the service load balancer's pods")
	f.flag(&s.SecretsEncryption, "secrets-encryption", "", "encrypt secrets at rest")
}

func (f *flagSet) bindComponents(s *Server) {
	f.list(&s.Disable, "disable", "packaged component to leave out")
	f.flag(&s.DisableCloudController, "disable-cloud-controller", "", "leave out the cloud controller")
	f.flag(&s.DisableHelmController, "disable-helm-controller", "", "leave out the Helm controller, and so Traefik")
	f.flag(&s.DisableNetworkPolicy, "disable-network-policy", "", "leave out the network policy controller")
	f.flag(&s.DisableKubeProxy, "disable-kube-proxy", "", "leave out kube-proxy")
	f.flag(&s.DisableScheduler, "disable-scheduler", "", "leave out the scheduler")
	f.list(&s.APIServerArgs, "kube-apiserver-arg", "flag=value for the API server")
	f.list(&s.ControllerManagerArgs, "kube-controller-manager-arg", "flag=value for the controller manager")
	f.list(&s.CloudControllerArgs, "kube-cloud-controller-manager-arg", "flag=value for the cloud controller manager")
	f.list(&s.SchedulerArgs, "kube-scheduler-arg", "flag=value for the scheduler")
	f.list(&s.KubeletArgs, "kubelet-arg", "flag=value for the kubelet")
	f.list(&s.KubeProxyArgs, "kube-proxy-arg", "flag=value for kube-proxy")
}

// bindUnsupported names the flags of k3s that mean something other than one
// server with its own database and images.
func (f *flagSet) bindUnsupported() {
	names := []string{
		"agent-token", "agent-token-file", "cluster-init", "cluster-reset", "cluster-reset-restore-path",
		"datastore-endpoint", "datastore-cafile", "datastore-certfile", "datastore-keyfile",
		"etcd-arg", "etcd-expose-metrics", "etcd-disable-snapshots", "etcd-snapshot-name", "etcd-snapshot-schedule-cron",
		"etcd-snapshot-retention", "etcd-snapshot-dir", "etcd-snapshot-compress", "etcd-s3", "etcd-s3-endpoint",
		"etcd-s3-bucket", "etcd-s3-region", "etcd-s3-folder", "etcd-s3-access-key", "etcd-s3-secret-key",
		"disable-agent", "disable-apiserver", "disable-controller-manager", "disable-etcd", "docker",
		"container-runtime-endpoint", "vpn-auth", "vpn-auth-file", "flannel-conf", "flannel-cni-conf",
		"flannel-external-ip", "flannel-ipv6-masq", "helm-job-image", "system-default-registry", "private-registry",
		"kine-tls", "supervisor-metrics", "enable-pprof", "advertise-port", "nonroot-devices", "lb-server-port",
	}
	for _, name := range names {
		f.set.Func(name, "not available in the lab's stand-in", func(string) error {
			return fmt.Errorf("the lab's k3s stand-in does not have --%s", name)
		})
	}
}

func (f *flagSet) name(spec, env string) string {
	name, alias, _ := strings.Cut(spec, ",")
	if alias != "" {
		f.aliases[alias] = name
	}
	if env != "" {
		f.envs[name] = env
	}
	return name
}

func (f *flagSet) each(spec, env string, bind func(name string)) {
	bind(f.name(spec, env))
	if _, alias, ok := strings.Cut(spec, ","); ok {
		bind(alias)
	}
}

func (f *flagSet) text(p *string, spec, env, usage string) {
	f.each(spec, env, func(n string) { f.set.StringVar(p, n, *p, usage) })
}

func (f *flagSet) number(p *int, spec, usage string) {
	f.each(spec, "", func(n string) { f.set.IntVar(p, n, *p, usage) })
}

func (f *flagSet) flag(p *bool, spec, env, usage string) {
	f.each(spec, env, func(n string) { f.set.BoolVar(p, n, *p, usage) })
}

func (f *flagSet) list(p *[]string, spec, usage string) {
	f.lists[f.name(spec, "")] = true
	f.set.Func(spec, usage+" (repeatable)", func(v string) error {
		*p = append(*p, v)
		return nil
	})
}

func (f *flagSet) canonical(name string) string {
	if full, ok := f.aliases[name]; ok {
		return full
	}
	return name
}

func (f *flagSet) applyEnv(getenv func(string) string) error {
	for name, env := range f.envs {
		if v := getenv(env); v != "" {
			if err := f.set.Set(name, v); err != nil {
				return fmt.Errorf("environment variable %s: %w", env, err)
			}
		}
	}
	return nil
}

// applyFiles sets what files say and the command line does not repeat.
func (f *flagSet) applyFiles(values []Value, given map[string]bool) (warnings []string, err error) {
	for _, v := range values {
		name := f.canonical(v.Key)
		if f.set.Lookup(name) == nil {
			warnings = append(warnings, fmt.Sprintf("Unknown flag --%s found in config.yaml, skipping", v.Key))
			continue
		}
		if given[name] {
			continue
		}
		texts := v.Values
		if !f.lists[name] && len(texts) > 1 {
			texts = texts[len(texts)-1:]
		}
		for _, t := range texts {
			if err := f.set.Set(name, t); err != nil {
				return warnings, fmt.Errorf("invalid value %q for configuration key %s: %w", t, v.Key, err)
			}
		}
	}
	return warnings, nil
}

func (f *flagSet) applyArgs(args []string) error {
	if err := f.set.Parse(args); err != nil {
		return err
	}
	if rest := f.set.Args(); len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	return nil
}

// namesIn lists the flags on the command line.
func namesIn(args []string) (map[string]bool, error) {
	f := newFlagSet(defaults())
	if err := f.applyArgs(args); err != nil {
		return nil, err
	}
	given := map[string]bool{}
	f.set.Visit(func(fl *flag.Flag) { given[f.canonical(fl.Name)] = true })
	return given, nil
}

// valueOf finds one flag's value in arguments that may hold anything else.
func valueOf(args []string, names ...string) (string, bool) {
	for i, a := range args {
		bare := strings.TrimLeft(a, "-")
		if bare == a {
			continue
		}
		name, value, joined := strings.Cut(bare, "=")
		for _, n := range names {
			switch {
			case name != n:
			case joined:
				return value, true
			case i+1 < len(args):
				return args[i+1], true
			}
		}
	}
	return "", false
}
