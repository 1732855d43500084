// Package spec says what should be true of a box.
//
// It keeps the promise that a mistake in what the user wrote is found before
// the box is touched: the configuration and the profiles are read strictly,
// and every mistake is reported at once with its file, line and column.
package spec

// Config is ssg-bootstrap.yaml.
type Config struct {
	Hosts    map[string]Host `yaml:"hosts,omitempty" json:"hosts,omitempty" jsonschema_description:"The boxes, by the name given to --host."`
	Defaults Defaults        `yaml:"defaults,omitempty" json:"defaults,omitzero" jsonschema_description:"What is taken when a host or a flag does not say."`
	Release  Release         `yaml:"release,omitempty" json:"release,omitzero" jsonschema_description:"How the application is deployed, where a host does not say."`
	Tailnet  *Tailnet        `yaml:"tailnet,omitempty" json:"tailnet,omitempty" jsonschema_description:"How the boxes join a tailnet, where a host does not say; {} is enough."`
	Runner   *Runner         `yaml:"runner,omitempty" json:"runner,omitempty" jsonschema_description:"The GitHub Actions runner on the boxes, where a host does not say; it needs a repository."`
	Backup   Backup          `yaml:"backup,omitempty" json:"backup,omitzero" jsonschema_description:"Where backups go, who can read them and how many are kept."`
	Mirrors  Mirrors         `yaml:"mirrors,omitempty" json:"mirrors,omitzero" jsonschema_description:"Where releases and images are fetched from."`

	// Path is the file that was read; relative paths were resolved from its
	// folder. It is empty when there is no file.
	Path string `yaml:"-" json:"-"`
}

// Host says how to reach one box and what it is to be. What is left out comes
// from ~/.ssh/config and then from ssh's defaults.
type Host struct {
	Address string `yaml:"address,omitempty" json:"address,omitempty" jsonschema_description:"Host name, IP address or alias of ~/.ssh/config; default: the host's name here."`
	Port    int    `yaml:"port,omitempty" json:"port,omitempty" jsonschema:"minimum=1,maximum=65535" jsonschema_description:"The SSH server's port."`
	User    string `yaml:"user,omitempty" json:"user,omitempty" jsonschema_description:"The login; it must be root or in the sudo group."`
	// IdentityFiles are private keys, tried in this order.
	IdentityFiles  []string `yaml:"identityFiles,omitempty" json:"identityFiles,omitempty" jsonschema_description:"Private keys, tried in this order."`
	KnownHostsFile string   `yaml:"knownHostsFile,omitempty" json:"knownHostsFile,omitempty" jsonschema_description:"Read and written instead of ~/.ssh/known_hosts."`
	// HostKeys are the SHA256: fingerprints that are accepted; if there is
	// any, known_hosts is not asked.
	HostKeys []string `yaml:"hostKeys,omitempty" json:"hostKeys,omitempty" jsonschema_description:"Fingerprints (SHA256:…) that are accepted, as ssh-keygen -lf prints them."`
	// Jump lists the hosts to go through, the first hop first: names from
	// this file, aliases, or user@address:port.
	Jump []string `yaml:"jump,omitempty" json:"jump,omitempty" jsonschema_description:"Hosts to go through, the first hop first: names from this file, aliases or user@address:port."`

	Profile  string   `yaml:"profile,omitempty" json:"profile,omitempty" jsonschema_description:"A built-in profile, the path of one, or auto."`
	NodeName string   `yaml:"nodeName,omitempty" json:"nodeName,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$,maxLength=63" jsonschema_description:"The Kubernetes node's name; default: the host's name."`
	TLSSANs  []string `yaml:"tlsSANs,omitempty" json:"tlsSANs,omitempty" jsonschema_description:"Further names and addresses for the API server's certificate."`
	// Join makes an agent of the host: it runs pods for the cluster of another
	// host, and has no cluster of its own.
	Join string `yaml:"join,omitempty" json:"join,omitempty" jsonschema_description:"The host whose cluster this one joins as an agent."`
	// Release overrides the configuration's, key by key.
	Release Release `yaml:"release,omitempty" json:"release,omitzero" jsonschema_description:"How the application is deployed on this host."`
	// Tailnet overrides the configuration's, key by key.
	Tailnet *Tailnet `yaml:"tailnet,omitempty" json:"tailnet,omitempty" jsonschema_description:"How this host joins a tailnet."`
	// Runner overrides the configuration's, key by key.
	Runner *Runner `yaml:"runner,omitempty" json:"runner,omitempty" jsonschema_description:"The GitHub Actions runner on this host."`
}

// Release says how the application is deployed.
type Release struct {
	// Enabled is true unless said otherwise.
	Enabled   *bool  `yaml:"enabled,omitempty" json:"enabled,omitempty" jsonschema_description:"Whether install deploys the application; default: true."`
	Namespace string `yaml:"namespace,omitempty" json:"namespace,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9-]*[a-z0-9])?$,maxLength=63" jsonschema_description:"Its namespace; default: studentsystemgo."`
	Hostname  string `yaml:"hostname,omitempty" json:"hostname,omitempty" jsonschema_description:"The name under which the ingress serves it; default: the chart's."`
	ImageTag  string `yaml:"imageTag,omitempty" json:"imageTag,omitempty" jsonschema:"pattern=^[A-Za-z0-9_][A-Za-z0-9_.-]{0\\,62}$" jsonschema_description:"The application's image tag; default: the one that the values name, else the one that is deployed, else the chart's."`
	// Values is a file of chart values, Secrets one of the shape of the
	// chart's secrets.values.example.yaml.
	Values  string `yaml:"values,omitempty" json:"values,omitempty" jsonschema_description:"A file with values for the chart."`
	Secrets string `yaml:"secrets,omitempty" json:"secrets,omitempty" jsonschema_description:"A secrets.values.yaml whose secrets are taken over; what it lacks is generated."`
}

// Defaults is what is taken when a host or a flag does not say.
type Defaults struct {
	Host    string `yaml:"host,omitempty" json:"host,omitempty" jsonschema_description:"The host when --host is not given."`
	User    string `yaml:"user,omitempty" json:"user,omitempty" jsonschema_description:"The login when neither the host nor ~/.ssh/config says."`
	Profile string `yaml:"profile,omitempty" json:"profile,omitempty" jsonschema_description:"The profile when the host does not say; default: auto."`
}

// Mirrors says where releases and images are fetched from.
type Mirrors struct {
	// K3s stands in for https://github.com (see package artifact).
	K3s string `yaml:"k3s,omitempty" json:"k3s,omitempty" jsonschema:"format=uri" jsonschema_description:"Stands in for https://github.com: below it lies k3s-io/k3s/releases/download/VERSION/FILE."`
	// Tailscale stands in for https://pkgs.tailscale.com (see package artifact).
	Tailscale string `yaml:"tailscale,omitempty" json:"tailscale,omitempty" jsonschema:"format=uri" jsonschema_description:"Stands in for https://pkgs.tailscale.com: below it lies stable/tailscale_VERSION_amd64.tgz."`
	// Helm stands in for https://get.helm.sh (see package artifact).
	Helm string `yaml:"helm,omitempty" json:"helm,omitempty" jsonschema:"format=uri" jsonschema_description:"Stands in for https://get.helm.sh: below it lies helm-VERSION-linux-amd64.tar.gz, and the same with .sha256sum."`
	// Registries are addresses by the registry that images name; those without
	// an entry are themselves, or the entry * if there is one.
	Registries map[string]string `yaml:"registries,omitempty" json:"registries,omitempty" jsonschema_description:"Stand in for registries of images, by the registry's name, or \"*\" for all others: docker.io: https://mirror.example/hub."`
}
