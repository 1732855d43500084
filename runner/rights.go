package runner

// Rule is one rule of a Role, as Kubernetes writes it.
type Rule struct {
	Groups    []string `json:"apiGroups"`
	Resources []string `json:"resources"`
	Names     []string `json:"resourceNames,omitempty"`
	Verbs     []string `json:"verbs"`
}

// Rights are what a job's ServiceAccount may do.
type Rights struct {
	// Namespaced holds in the application's namespace.
	Namespaced []Rule
	// Cluster holds for what belongs to no namespace, System in kube-system;
	// both for named objects alone.
	Cluster, System []Rule
}

func manage() []string {
	return []string{"get", "list", "watch", "create", "update", "patch", "delete"}
}
func watch() []string { return []string{"get", "list", "watch"} }

// RightsOf returns what `helm upgrade --install --atomic` of our chart needs,
// and what a job needs to pull an image beforehand and to say why a release
// failed. Secrets are among it, because Helm keeps its releases in them. Roles,
// exec and tokens are not: no job can give itself more.
func RightsOf(release, namespace string) Rights {
	return Rights{
		Namespaced: []Rule{
			{Groups: []string{""}, Resources: []string{"configmaps", "persistentvolumeclaims", "pods", "secrets", "serviceaccounts", "services"}, Verbs: manage()},
			{Groups: []string{""}, Resources: []string{"events", "pods/log"}, Verbs: watch()},
			{Groups: []string{"apps"}, Resources: []string{"deployments", "statefulsets"}, Verbs: manage()},
			{Groups: []string{"apps"}, Resources: []string{"controllerrevisions", "replicasets"}, Verbs: watch()},
			{Groups: []string{"autoscaling"}, Resources: []string{"horizontalpodautoscalers"}, Verbs: manage()},
			{Groups: []string{"policy"}, Resources: []string{"poddisruptionbudgets"}, Verbs: manage()},
			{Groups: []string{"networking.k8s.io"}, Resources: []string{"ingresses", "networkpolicies"}, Verbs: manage()},
			{Groups: []string{"traefik.io"}, Resources: []string{"middlewares"}, Verbs: manage()},
			{Groups: []string{"monitoring.coreos.com"}, Resources: []string{"servicemonitors"}, Verbs: manage()},
		},
		Cluster: []Rule{
			{Groups: []string{""}, Resources: []string{"namespaces"}, Names: []string{namespace}, Verbs: []string{"get"}},
			// Those that the release has; whether there are any is for who
			// administers the cluster to say.
			{Groups: []string{"scheduling.k8s.io"}, Resources: []string{"priorityclasses"}, Names: priorityClasses(release, namespace), Verbs: []string{"get", "patch"}},
		},
		System: []Rule{
			// To see that nothing changes there, and no more: who may write it
			// decides what Traefik, which reads every Secret, runs.
			{Groups: []string{"helm.cattle.io"}, Resources: []string{"helmchartconfigs"}, Names: []string{"traefik"}, Verbs: []string{"get"}},
		},
	}
}

// priorityClasses are named by the chart after namespace and release.
func priorityClasses(release, namespace string) []string {
	prefix := namespace + "-" + release + "-studentsystemgo-"
	return []string{prefix + "app", prefix + "data"}
}
