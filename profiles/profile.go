// Package profiles holds what is known about kinds of hardware.
//
// It keeps the promise that everything that was tuned is in one readable file:
// k3s flags, memory limits, waits, chart values and the documented figures,
// each with its reason; and that no profile can hold a lever that breaks
// ingress, autoscaling, network policies or volumes.
package profiles

// Profile is one kind of hardware and how the cluster is run on it.
type Profile struct {
	// Name is a lower-kebab name, as given to --profile.
	Name string `yaml:"name" json:"name" jsonschema:"required,pattern=^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" jsonschema_description:"Lower-kebab name of the profile."`
	// Description says in one sentence which hardware is meant.
	Description string `yaml:"description,omitempty" json:"description,omitempty" jsonschema_description:"Which hardware is meant, in one sentence."`
	// Extends names a built-in profile, or the path of one relative to this
	// file. Maps are merged key by key (null takes a key, or a whole map, out), lists and
	// single values are replaced.
	Extends    string       `yaml:"extends,omitempty" json:"extends,omitempty" jsonschema_description:"A built-in profile, or a path relative to this file. Maps are merged (null takes a key, or a whole map, out); lists and single values are replaced."`
	For        For          `yaml:"for,omitempty" json:"for,omitzero" jsonschema_description:"The hardware for which auto chooses this profile."`
	K3s        K3s          `yaml:"k3s" json:"k3s,omitzero" jsonschema_description:"The cluster's version, flags and memory limits."`
	Tailnet    Tailnet      `yaml:"tailnet,omitempty" json:"tailnet,omitzero" jsonschema_description:"What tailscaled may take, where the box joins a tailnet."`
	Runner     Runner       `yaml:"runner,omitempty" json:"runner,omitzero" jsonschema_description:"What the GitHub runner may take, where the box is one."`
	System     System       `yaml:"system,omitempty" json:"system,omitzero" jsonschema_description:"What is set on the operating system."`
	Requires   Requires     `yaml:"requires,omitempty" json:"requires,omitzero" jsonschema_description:"What preflight asks of the box."`
	Waits      Waits        `yaml:"waits,omitempty" json:"waits,omitzero" jsonschema_description:"How much silence is normal on this hardware."`
	Chart      Chart        `yaml:"chart,omitempty" json:"chart,omitzero" jsonschema_description:"Values for the application's chart."`
	Documented []Documented `yaml:"documented,omitempty" json:"documented,omitempty" jsonschema_description:"Figures that were published for this hardware."`
}

// For says for which hardware auto chooses a profile: memory of at least
// MinMemory and less than MaxMemory; zero is no bound.
type For struct {
	MinMemory ByteSize `yaml:"minMemory,omitempty" json:"minMemory,omitempty" jsonschema_description:"At least this much RAM as the kernel reports it."`
	MaxMemory ByteSize `yaml:"maxMemory,omitempty" json:"maxMemory,omitempty" jsonschema_description:"Less than this much RAM."`
}

// K3s is the cluster's version and flags.
type K3s struct {
	// Version is a release such as v1.36.4+k3s1, or a channel such as stable.
	Version string `yaml:"version" json:"version,omitempty" jsonschema_description:"A release such as v1.36.4+k3s1, or a channel: stable, latest, v1.36."`
	// Disable lists packaged components that are left out.
	Disable []string `yaml:"disable,omitempty" json:"disable,omitempty" jsonschema_description:"Packaged components that are left out; those that the application needs are refused."`

	APIServerArgs         map[string]string `yaml:"apiServerArgs,omitempty" json:"apiServerArgs,omitempty" jsonschema_description:"kube-apiserver flags without the dashes."`
	ControllerManagerArgs map[string]string `yaml:"controllerManagerArgs,omitempty" json:"controllerManagerArgs,omitempty" jsonschema_description:"kube-controller-manager flags without the dashes."`
	SchedulerArgs         map[string]string `yaml:"schedulerArgs,omitempty" json:"schedulerArgs,omitempty" jsonschema_description:"kube-scheduler flags without the dashes."`
	KubeProxyArgs         map[string]string `yaml:"kubeProxyArgs,omitempty" json:"kubeProxyArgs,omitempty" jsonschema_description:"kube-proxy flags without the dashes."`

	// Config holds further keys of /etc/rancher/k3s/config.yaml.
	Config map[string]any `yaml:"config,omitempty" json:"config,omitempty" jsonschema_description:"Further keys of k3s's config.yaml."`
	// Kubelet holds KubeletConfiguration fields for the drop-in.
	Kubelet map[string]any `yaml:"kubelet,omitempty" json:"kubelet,omitempty" jsonschema_description:"KubeletConfiguration fields for the drop-in file."`

	// The Go runtime's limits, as the variables of the same name take them;
	// containerd's are passed with k3s's CONTAINERD_ prefix.
	GoMemLimit           string `yaml:"goMemLimit,omitempty" json:"goMemLimit,omitempty" jsonschema:"pattern=^[1-9][0-9]*(B|KiB|MiB|GiB)$" jsonschema_description:"GOMEMLIMIT of the k3s process."`
	GoGC                 string `yaml:"goGC,omitempty" json:"goGC,omitempty" jsonschema:"pattern=^([1-9][0-9]*|off)$" jsonschema_description:"GOGC of the k3s process."`
	ContainerdGoMemLimit string `yaml:"containerdGoMemLimit,omitempty" json:"containerdGoMemLimit,omitempty" jsonschema:"pattern=^[1-9][0-9]*(B|KiB|MiB|GiB)$" jsonschema_description:"GOMEMLIMIT of containerd."`
	ContainerdGoGC       string `yaml:"containerdGoGC,omitempty" json:"containerdGoGC,omitempty" jsonschema:"pattern=^([1-9][0-9]*|off)$" jsonschema_description:"GOGC of containerd."`
	// ContainerdStatsPeriod is how long containerd (2.3 and later) waits between
	// two readings of every container's processor time; empty is its own second.
	ContainerdStatsPeriod Duration `yaml:"containerdStatsPeriod,omitempty" json:"containerdStatsPeriod,omitempty" jsonschema_description:"How often containerd reads every container's processor time."`
}

// Tailnet is what tailscaled may take.
type Tailnet struct {
	// MemoryHigh is where the kernel begins to slow tailscaled down and to take
	// its pages back, MemoryMax where it ends it.
	MemoryHigh ByteSize `yaml:"memoryHigh,omitempty" json:"memoryHigh,omitempty" jsonschema_description:"Memory at which tailscaled is slowed down."`
	MemoryMax  ByteSize `yaml:"memoryMax,omitempty" json:"memoryMax,omitempty" jsonschema_description:"Memory at which tailscaled is ended and started anew."`
	GoMemLimit string   `yaml:"goMemLimit,omitempty" json:"goMemLimit,omitempty" jsonschema:"pattern=^[1-9][0-9]*(B|KiB|MiB|GiB)$" jsonschema_description:"GOMEMLIMIT of tailscaled."`
}

// Runner is what the GitHub runner may take, its jobs included.
type Runner struct {
	// MemoryHigh is where the kernel begins to slow runner and job down and to
	// take their pages back, MemoryMax where it ends the largest of them.
	MemoryHigh ByteSize `yaml:"memoryHigh,omitempty" json:"memoryHigh,omitempty" jsonschema_description:"Memory at which the runner and its job are slowed down."`
	MemoryMax  ByteSize `yaml:"memoryMax,omitempty" json:"memoryMax,omitempty" jsonschema_description:"Memory at which a process of the runner or its job is ended."`
}

// System is what is set on the operating system.
type System struct {
	Zram Zram `yaml:"zram,omitempty" json:"zram,omitzero" jsonschema_description:"Compressed swap in RAM."`
	// Sysctls are kernel parameters by their dotted names.
	Sysctls map[string]string `yaml:"sysctls,omitempty" json:"sysctls,omitempty" jsonschema_description:"Kernel parameters."`
	// Journald holds keys of journald.conf's [Journal] section.
	Journald map[string]string `yaml:"journald,omitempty" json:"journald,omitempty" jsonschema_description:"Keys of journald.conf."`
}

// Zram is compressed swap in RAM; a Percent of 0 is none.
type Zram struct {
	Percent   int    `yaml:"percent,omitempty" json:"percent,omitempty" jsonschema:"minimum=0,maximum=200" jsonschema_description:"Size before compression, in percent of RAM; 0 is none."`
	Algorithm string `yaml:"algorithm,omitempty" json:"algorithm,omitempty" jsonschema:"enum=lz4,enum=lzo-rle,enum=lzo,enum=zstd" jsonschema_description:"The kernel's compressor."`
	Priority  int    `yaml:"priority,omitempty" json:"priority,omitempty" jsonschema:"minimum=-1,maximum=32767" jsonschema_description:"Swap priority; above any swap on disk."`
}

// Requires is what preflight asks of the box.
type Requires struct {
	// Memory is the least RAM, Disk the least free space where k3s keeps its
	// data.
	Memory ByteSize `yaml:"memory,omitempty" json:"memory,omitempty" jsonschema_description:"The least RAM."`
	Disk   ByteSize `yaml:"disk,omitempty" json:"disk,omitempty" jsonschema_description:"The least free space below /var/lib."`
	Cores  int      `yaml:"cores,omitempty" json:"cores,omitempty" jsonschema:"minimum=0" jsonschema_description:"The least number of processors."`
	// FsyncP95 is what 95 of 100 fsyncs must stay under; above it preflight
	// warns.
	FsyncP95 Duration `yaml:"fsyncP95,omitempty" json:"fsyncP95,omitempty" jsonschema_description:"Preflight warns when the 95th percentile of fsync takes longer."`
}

// Waits says how much silence is normal on this hardware. A Stall ends a wait
// after so long without any change; a Typical is what people are told.
type Waits struct {
	K3sStall    Duration `yaml:"k3sStall,omitempty" json:"k3sStall,omitempty" jsonschema_description:"Silence that ends the wait for the API server."`
	K3sTypical  Duration `yaml:"k3sTypical,omitempty" json:"k3sTypical,omitempty" jsonschema_description:"What the first start usually takes."`
	NodeStall   Duration `yaml:"nodeStall,omitempty" json:"nodeStall,omitempty" jsonschema_description:"Silence that ends the wait for the node to be Ready."`
	NodeTypical Duration `yaml:"nodeTypical,omitempty" json:"nodeTypical,omitempty" jsonschema_description:"What the node usually takes to be Ready once the API server answers."`
	PodsStall   Duration `yaml:"podsStall,omitempty" json:"podsStall,omitempty" jsonschema_description:"Silence that ends the wait for the system's pods."`
	PodsTypical Duration `yaml:"podsTypical,omitempty" json:"podsTypical,omitempty" jsonschema_description:"What the system's pods usually take."`
	ImportStall Duration `yaml:"importStall,omitempty" json:"importStall,omitempty" jsonschema_description:"Silence that ends the wait for an image import."`
	// JobStall is for anything else that runs on the box, such as apt.
	JobStall Duration `yaml:"jobStall,omitempty" json:"jobStall,omitempty" jsonschema_description:"Silence that ends the wait for other work on the box, such as apt."`
}

// Chart is what the application's chart gets on this hardware.
type Chart struct {
	Values map[string]any `yaml:"values,omitempty" json:"values,omitempty" jsonschema_description:"Chart values."`
}

// Documented is one published figure.
type Documented struct {
	Metric string  `yaml:"metric" json:"metric" jsonschema:"required,pattern=^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" jsonschema_description:"Lower-kebab name of what was measured."`
	Value  float64 `yaml:"value" json:"value" jsonschema:"required,exclusiveMinimum=0" jsonschema_description:"The figure."`
	Unit   string  `yaml:"unit" json:"unit" jsonschema:"required,enum=s,enum=GiB,enum=GB,enum=Mbit/s" jsonschema_description:"Its unit."`
	// Bound is how the figure is meant: "about" or "below".
	Bound  string `yaml:"bound,omitempty" json:"bound,omitempty" jsonschema:"enum=about,enum=below" jsonschema_description:"How the figure is meant."`
	Source string `yaml:"source" json:"source" jsonschema:"required" jsonschema_description:"Where it was published."`
	Note   string `yaml:"note,omitempty" json:"note,omitempty" jsonschema_description:"How it was measured, as far as it is known."`
}

// Summary is one line of the list of profiles.
type Summary struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	For         For    `json:"for"`
}
