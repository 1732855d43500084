package profiles

import "fmt"

// neededComponents are the packaged components that k3s could leave out and
// the application cannot do without, with the reason.
func neededComponents() map[string]string {
	return map[string]string{
		"traefik":        "it answers the Ingress",
		"servicelb":      "Traefik's Service stays pending without it",
		"metrics-server": "the HorizontalPodAutoscaler has no figures without it",
		"local-storage":  "PersistentVolumeClaims stay pending without it",
		"coredns":        "pods resolve Services through it",
	}
}

// refusedFlags are component flags that break something, by section and flag.
func refusedFlags() map[string]string {
	const k3sOwn = "k3s sets it to fit the rest of the cluster"
	return map[string]string{
		"apiServerArgs.disable-admission-plugins": "service accounts, limits and storage classes work through them",
		"apiServerArgs.watch-cache":               "without the cache every read goes to SQLite on the box's disk",
		"apiServerArgs.bind-address":              "other ports stay open anyway; the firewall keeps 6443 to the box and the tailnet",
		"apiServerArgs.secure-port":               k3sOwn,
		"apiServerArgs.advertise-port":            k3sOwn,
		"apiServerArgs.authorization-mode":        k3sOwn,
		"apiServerArgs.etcd-servers":              k3sOwn,
		"apiServerArgs.service-cluster-ip-range":  k3sOwn,
		"controllerManagerArgs.controllers":       "a controller that is switched off leaves autoscaling, volumes or endpoints undone",
		"controllerManagerArgs.cluster-cidr":      k3sOwn,
		"controllerManagerArgs.leader-elect":      k3sOwn,
		"schedulerArgs.leader-elect":              k3sOwn,
		"kubeProxyArgs.cluster-cidr":              k3sOwn,
	}
}

// refusedConfig says why a key of config.yaml is refused, or "".
func refusedConfig(key string, value any) string {
	elsewhere := map[string]string{
		"disable":                     "k3s.disable",
		"kube-apiserver-arg":          "k3s.apiServerArgs",
		"kube-controller-manager-arg": "k3s.controllerManagerArgs",
		"kube-scheduler-arg":          "k3s.schedulerArgs",
		"kube-proxy-arg":              "k3s.kubeProxyArgs",
		"kubelet-arg":                 "k3s.kubelet",
		"tls-san":                     "tlsSANs of the host in ssg-bootstrap.yaml",
		"node-name":                   "nodeName of the host in ssg-bootstrap.yaml",
	}
	if place := elsewhere[key]; place != "" {
		return "use " + place
	}
	broken := map[string]string{
		"disable-cloud-controller":   "ServiceLB lives in it, and the node would stay unschedulable",
		"disable-helm-controller":    "the packaged Traefik is installed by it",
		"disable-network-policy":     "NetworkPolicies would silently not be enforced",
		"disable-kube-proxy":         "Services would not be reachable",
		"disable-scheduler":          "no pod would be placed",
		"disable-apiserver":          "the box is the whole cluster",
		"disable-controller-manager": "nothing would be reconciled",
		"disable-etcd":               "the datastore is SQLite",
		"disable-agent":              "the box is the whole cluster",
	}
	if why := broken[key]; why != "" && value != false {
		return why
	}
	owned := map[string]string{
		"data-dir":                          "backup, restore and uninstall know k3s by its usual folder",
		"token":                             "a secret does not belong in a profile; k3s makes its own",
		"token-file":                        "k3s makes its own token",
		"agent-token":                       "a secret does not belong in a profile",
		"agent-token-file":                  "the box is the whole cluster",
		"server":                            "the box is the whole cluster",
		"cluster-init":                      "the datastore is SQLite; etcd does not fit the hardware",
		"datastore-endpoint":                "the datastore is SQLite on the box; backup relies on it",
		"vpn-auth":                          "a secret does not belong in a profile; the tailnet is joined by the host, not by k3s",
		"bind-address":                      "other ports stay open anyway; the firewall keeps 6443 to the box and the tailnet",
		"https-listen-port":                 "the firewall and the kubeconfig know the API server by 6443",
		"kube-cloud-controller-manager-arg": "ServiceLB lives in the cloud controller; k3s sets it to fit",
		"config":                            "k3s reads the file that is written here",
	}
	if why := owned[key]; why != "" {
		return why
	}
	if key == "flannel-backend" && fmt.Sprint(value) == "none" {
		return "pods would have no network"
	}
	return ""
}

// ownedKubeletFields are those that k3s sets to fit the rest of the cluster.
func ownedKubeletFields() []string {
	return []string{
		"apiVersion", "kind", "address", "port", "readOnlyPort", "authentication", "authorization",
		"clusterDNS", "clusterDomain", "cgroupDriver", "containerRuntimeEndpoint",
		"staticPodPath", "staticPodURL", "tlsCertFile", "tlsPrivateKeyFile", "volumePluginDir", "resolvConf",
	}
}

// kubeletSysctls are the kernel parameters without which a kubelet that
// protects the kernel's defaults does not start.
func kubeletSysctls() map[string]string {
	return map[string]string{
		"vm.overcommit_memory": "1", "vm.panic_on_oom": "0",
		"kernel.panic": "10", "kernel.panic_on_oops": "1",
		"kernel.keys.root_maxkeys": "1000000", "kernel.keys.root_maxbytes": "25000000",
	}
}
