// Package settings keeps the promise that `k3s server` reads its command line
// and configuration as k3s does: config.yaml, then its drop-ins in order, then
// flags, which replace what files said. A flag that k3s does not have ends the
// program; a configuration key that it does not have is reported and skipped,
// because that is what k3s does. Something k3s has and the stand-in does not is
// refused: it is never accepted and then ignored.
package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// DefaultConfigFile is read when nothing names another; it may be absent.
const DefaultConfigFile = "/etc/rancher/k3s/config.yaml"

// Server is what `k3s server` was asked to be.
type Server struct {
	DataDir    string
	ConfigFile string

	KubeconfigFile  string
	KubeconfigMode  string
	KubeconfigGroup string

	NodeName       string
	NodeIP         string
	NodeExternalIP string
	NodeLabels     []string
	NodeTaints     []string
	WithNodeID     bool

	AdvertiseAddress string
	BindAddress      string
	HTTPSPort        int
	TLSSANs          []string
	TLSSANSecurity   bool
	Token            string
	// JoinURL is the server that an agent joins.
	JoinURL   string
	TokenFile string

	ClusterCIDR          string
	ServiceCIDR          string
	ServiceNodePortRange string
	ClusterDNS           string
	ClusterDomain        string
	FlannelBackend       string
	FlannelIface         string
	EgressSelectorMode   string
	ServiceLBNamespace   string

	Disable                []string
	DisableCloudController bool
	DisableHelmController  bool
	DisableNetworkPolicy   bool
	DisableKubeProxy       bool
	DisableScheduler       bool

	APIServerArgs         []string
	ControllerManagerArgs []string
	CloudControllerArgs   []string
	SchedulerArgs         []string
	KubeletArgs           []string
	KubeProxyArgs         []string

	LocalStoragePath      string
	SecretsEncryption     bool
	ProtectKernelDefaults bool
	Snapshotter           string
	PauseImage            string
	ResolvConf            string
	SELinux               bool
	EmbeddedRegistry      bool
	PreferBundledBin      bool
	Rootless              bool

	Debug           bool
	Verbosity       int
	VModule         string
	LogFile         string
	AlsoLogToStderr bool
}

// Parse reads environment, files and the arguments after the word "server".
// The warnings name configuration keys that were skipped.
func Parse(args []string, getenv func(string) string) (s *Server, warnings []string, err error) {
	s, warnings, err = parse(args, getenv)
	if err == nil && s.JoinURL != "" {
		err = errors.New("the lab's k3s stand-in is one server: `k3s server` does not have --server")
	}
	return s, warnings, err
}

// ParseAgent reads what follows the word "agent". Settings that only a server
// heeds are read and mean nothing, as in k3s's configuration file.
func ParseAgent(args []string, getenv func(string) string) (s *Server, warnings []string, err error) {
	s, warnings, err = parse(args, getenv)
	switch {
	case err != nil:
	case s.JoinURL == "":
		err = errors.New("--server is required")
	case s.Token == "":
		err = errors.New("--token is required")
	}
	return s, warnings, err
}

func parse(args []string, getenv func(string) string) (s *Server, warnings []string, err error) {
	given, err := namesIn(args)
	if err != nil {
		return nil, nil, err
	}
	s = defaults()
	fs := newFlagSet(s)
	if err := fs.applyEnv(getenv); err != nil {
		return nil, nil, err
	}
	values, err := ReadFiles(ConfigFile(args, getenv))
	if err != nil {
		return nil, nil, err
	}
	warnings, err = fs.applyFiles(values, given)
	if err != nil {
		return nil, warnings, err
	}
	if err := fs.applyArgs(args); err != nil {
		return nil, warnings, err
	}
	if err := s.complete(); err != nil {
		return nil, warnings, err
	}
	return s, warnings, nil
}

func defaults() *Server {
	return &Server{
		DataDir:              DefaultDataDir(os.Getuid()),
		HTTPSPort:            6443,
		TLSSANSecurity:       true,
		ClusterCIDR:          "10.42.0.0/16",
		ServiceCIDR:          "10.43.0.0/16",
		ServiceNodePortRange: "30000-32767",
		ClusterDomain:        "cluster.local",
		FlannelBackend:       "vxlan",
		EgressSelectorMode:   "agent",
		ServiceLBNamespace:   "kube-system",
		Snapshotter:          "overlayfs",
		PauseImage:           "docker.io/rancher/mirrored-pause:3.10.2",
	}
}

// DefaultDataDir is where k3s keeps its state for this user.
func DefaultDataDir(uid int) string {
	if uid == 0 {
		return "/var/lib/rancher/k3s"
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".rancher", "k3s")
	}
	return "/var/lib/rancher/k3s"
}

// DataDir finds the data folder without parsing the rest: the launcher needs it
// before the program that knows the flags has been unpacked.
func DataDir(args []string, getenv func(string) string) (string, error) {
	if v, ok := valueOf(args, "data-dir", "d"); ok {
		return filepath.Abs(v)
	}
	values, err := ReadFiles(ConfigFile(args, getenv))
	if err != nil {
		return "", err
	}
	for i := len(values) - 1; i >= 0; i-- {
		if (values[i].Key == "data-dir" || values[i].Key == "d") && len(values[i].Values) > 0 {
			return filepath.Abs(values[i].Values[len(values[i].Values)-1])
		}
	}
	return DefaultDataDir(os.Getuid()), nil
}

// PreferBundled says whether the release's own iptables come before the host's.
func PreferBundled(args []string, getenv func(string) string) bool {
	s, _, err := parse(args, getenv)
	return err == nil && s.PreferBundledBin
}

// Disabled says whether a packaged component was switched off.
func (s *Server) Disabled(component string) bool {
	for _, d := range s.Disable {
		if d == component {
			return true
		}
	}
	return false
}

// Usage prints the flags.
func Usage(w io.Writer) {
	fmt.Fprint(w, "USAGE:\n   k3s server [OPTIONS]\n\nOPTIONS:\n")
	fs := newFlagSet(defaults())
	fs.set.SetOutput(w)
	fs.set.PrintDefaults()
}
