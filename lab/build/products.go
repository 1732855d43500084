package build

import (
	"maps"
	"path/filepath"
	"slices"
)

// Versions that no go.mod of ours names, because what bears them is ours or
// Debian's: the names are those that k3s gives its images.
const (
	pauseVersion     = "3.10.2"
	klipperLBVersion = "v0.4.13"
	busyboxVersion   = "1.37.0"
	suite            = "trixie" // the box's Debian
)

// upstream is a program that another project publishes as a Go module.
type upstream struct {
	name        string // of the product and of its folder below third_party
	module      string
	packages    []string // below the module; the module itself if empty
	versionVar  string   // the string variable that tells the version
	bareVersion bool     // without the leading v
	tags        []string
	cgo         bool
	packs       []string
	replaced    *replacement
}

// upstreams lists what is compiled from published modules, the slowest last so
// that those who wait for the others get them early.
func upstreams() []upstream {
	return []upstream{
		{
			name:       "containerd",
			module:     "github.com/containerd/containerd/v2",
			packages:   []string{"cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr"},
			versionVar: "github.com/containerd/containerd/v2/version.Version",
		},
		{
			name:   "runc",
			module: "github.com/opencontainers/runc",
			tags:   []string{"seccomp", "urfave_cli_no_docs"},
			cgo:    true,
			packs:  []string{"libseccomp-dev"},
		},
		{
			name:       "cni",
			module:     "github.com/containernetworking/plugins",
			packages:   []string{"plugins/main/bridge", "plugins/main/loopback", "plugins/ipam/host-local", "plugins/meta/portmap", "plugins/meta/bandwidth"},
			versionVar: "github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion",
		},
		{
			name:       "crictl",
			module:     "sigs.k8s.io/cri-tools",
			packages:   []string{"cmd/crictl"},
			versionVar: "sigs.k8s.io/cri-tools/pkg/version.Version",
		},
		{name: "coredns", module: "github.com/coredns/coredns"},
		{name: "local-path-provisioner", module: "github.com/rancher/local-path-provisioner", versionVar: "main.VERSION"},
		{
			name:       "metrics-server",
			module:     "sigs.k8s.io/metrics-server",
			packages:   []string{"cmd/metrics-server"},
			versionVar: "k8s.io/client-go/pkg/version.gitVersion",
		},
		{
			name:        "traefik",
			module:      "github.com/traefik/traefik/v3",
			packages:    []string{"cmd/traefik"},
			versionVar:  "github.com/traefik/traefik/v3/pkg/version.Version",
			bareVersion: true,
			// The file that is put in says why.
			replaced: &replacement{
				module: "github.com/go-acme/lego/v4",
				file:   "providers/dns/zz_gen_dns_providers.go",
				with:   "replaced/dns.go",
			},
		},
	}
}

// folder of the upstream's nested module, below the lab's.
func (u upstream) folder() string { return filepath.Join("third_party", u.name) }

// program says how the upstream is compiled at the given version.
func (u upstream) program(version string) program {
	p := program{name: u.name, module: u.folder(), tags: u.tags, cgo: u.cgo, packs: u.packs, replaced: u.replaced}
	for _, name := range u.packages {
		p.packages = append(p.packages, u.module+"/"+name)
	}
	if len(u.packages) == 0 {
		p.packages = []string{u.module}
	}
	if u.versionVar != "" {
		p.set = map[string]string{u.versionVar: u.shown(version)}
	}
	return p
}

// shown is the version as the program and its image's tag have it.
func (u upstream) shown(version string) string {
	if u.bareVersion {
		return version[1:]
	}
	return version
}

// klipperLB is our stand-in for k3s's service load balancer.
func klipperLB() program {
	return program{name: "klipper-lb", module: ".", sources: "build/klipperlb", packages: []string{"./build/klipperlb"}, output: "klipper-lb"}
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
