package host

import (
	"net"
	"strconv"
)

// Target is a box's resolved address: everything that Connect needs to know
// and nothing that it would have to look up.
type Target struct {
	// Name is what the user calls the box.
	Name string
	User string
	// Addr is a host name or an IP address, Port its TCP port.
	Addr string
	Port int
	// HostKeyAlias stands for Addr in the known_hosts files when it is set.
	HostKeyAlias  string
	IdentityFiles []string
	// IdentitiesOnly keeps the agent from offering other keys than those of
	// IdentityFiles.
	IdentitiesOnly bool
	// KnownHostsFiles are read in order; a new key goes to the first.
	KnownHostsFiles []string
	// HashKnownHosts hides host names in lines that are added.
	HashKnownHosts bool
	// HostKeys are fingerprints (SHA256:…) that the user vouches for.
	HostKeys []string
	// Jumps are the hosts to go through, the nearest to this computer first.
	Jumps []Target

	// typed is what the user wrote to mean the box.
	typed string
}

// TargetConfig is a host as a configuration file names it. Empty fields are
// taken from ~/.ssh/config, as ssh itself would.
type TargetConfig struct {
	Address        string
	Port           int
	User           string
	IdentityFiles  []string
	KnownHostsFile string
	// HostKey is a fingerprint, SHA256:….
	HostKey string
	// Jump names hosts (of the configuration, of ~/.ssh/config, or
	// user@address:port), the nearest first.
	Jump []string
}

// dialAddress is where TCP connects to.
func (t Target) dialAddress() string { return net.JoinHostPort(t.Addr, strconv.Itoa(t.Port)) }

// keyAddress is what the known_hosts files call the host.
func (t Target) keyAddress() string {
	if t.HostKeyAlias != "" {
		return net.JoinHostPort(t.HostKeyAlias, "22")
	}
	return t.dialAddress()
}

// flag is the --host flag that means the target.
func (t Target) flag() string {
	switch {
	case t.typed != "":
		return "--host " + t.typed
	case t.Name != "":
		return "--host " + t.Name
	}
	return "--host " + t.User + "@" + t.dialAddress()
}

// String names the target for people.
func (t Target) String() string {
	s := t.User + "@" + t.dialAddress()
	if t.Name == "" || t.Name == t.Addr {
		return s
	}
	return t.Name + " (" + s + ")"
}
