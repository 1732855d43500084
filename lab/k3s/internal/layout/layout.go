// Package layout keeps the promise that every file lies where k3s has it, so
// that whatever looks after a k3s box (backup, restore, uninstall) finds it.
package layout

import "path/filepath"

// Paths names the files of one data folder.
type Paths struct{ Root string }

// Fixed places, outside of the data folder.
const (
	AdminKubeconfig   = "/etc/rancher/k3s/k3s.yaml"
	NodePassword      = "/etc/rancher/node/password"
	RunDir            = "/run/k3s"
	ContainerdSocket  = "/run/k3s/containerd/containerd.sock"
	ContainerdRuntime = "/run/k3s/containerd"
)

func (p Paths) join(parts ...string) string {
	return filepath.Join(append([]string{p.Root}, parts...)...)
}

// Server is the folder that a backup takes.
func (p Paths) Server() string { return p.join("server") }

// TLS holds the authorities, keys and certificates.
func (p Paths) TLS(parts ...string) string {
	return p.join(append([]string{"server", "tls"}, parts...)...)
}

// Cred holds what the control plane's components identify themselves with.
func (p Paths) Cred(parts ...string) string {
	return p.join(append([]string{"server", "cred"}, parts...)...)
}

// Database is kine's SQLite file.
func (p Paths) Database() string { return p.join("server", "db", "state.db") }

// KineSocket is where the API server finds its storage.
func (p Paths) KineSocket() string { return p.join("server", "kine.sock") }

// Token is the file with the cluster's shared secret; NodeToken names it too.
func (p Paths) Token() string { return p.join("server", "token") }

// NodeToken is the older name of Token.
func (p Paths) NodeToken() string { return p.join("server", "node-token") }

// Manifests is the folder of what is applied by itself.
func (p Paths) Manifests() string { return p.join("server", "manifests") }

// Agent is the node's half.
func (p Paths) Agent(parts ...string) string {
	return p.join(append([]string{"agent"}, parts...)...)
}

// Images is the folder of image archives.
func (p Paths) Images() string { return p.join("agent", "images") }

// CNIBin is where containerd looks for network plugins.
func (p Paths) CNIBin() string { return p.join("data", "cni") }

// CNIConf is where it looks for their configuration.
func (p Paths) CNIConf() string { return p.join("agent", "etc", "cni", "net.d") }
