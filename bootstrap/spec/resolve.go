package spec

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// Spec is what should be true of one box.
type Spec struct {
	HostName string           `json:"hostName"`
	NodeName string           `json:"nodeName"`
	Profile  profiles.Profile `json:"profile"`
	// ProfileWhy says in one sentence why it is this profile.
	ProfileWhy string   `json:"profileWhy"`
	TLSSANs    []string `json:"tlsSANs,omitempty"`
	// Join is the host whose cluster the box joins; empty for a server.
	Join    string  `json:"join,omitempty"`
	Mirrors Mirrors `json:"mirrors,omitzero"`
	Release Release `json:"release,omitzero"`
	// Tailnet is nil where the box does not join one.
	Tailnet *Tailnet `json:"tailnet,omitempty"`
	// Runner is nil where the box is to be no runner.
	Runner *Runner `json:"runner,omitempty"`
}

// Resolve makes the Spec of one host. The profile is the flag's, else the
// host's, else the default one, else what fits the hardware.
func Resolve(cfg Config, hostName, profileFlag string, hw Hardware) (Spec, error) {
	h := cfg.Hosts[hostName]
	p, why, err := chooseProfile(cfg, hostName, profileFlag, hw)
	if err != nil {
		return Spec{}, err
	}
	node := cmp.Or(h.NodeName, nodeName(hostName))
	if !matches(nodeNamePattern, node) || len(node) > 63 {
		return Spec{}, fault.New(fault.ConfigInvalid, "add the host to ssg-bootstrap.yaml with a nodeName",
			"%q cannot be made a node's name", hostName)
	}
	s := Spec{
		HostName:   hostName,
		NodeName:   node,
		Profile:    p,
		ProfileWhy: why,
		TLSSANs:    names(node, h.TLSSANs),
		Mirrors:    cfg.Mirrors,
		Release:    cfg.ReleaseOf(hostName),
		Tailnet:    cfg.TailnetOf(hostName, node),
		Runner:     cfg.RunnerOf(hostName, node),
	}
	if h.Join != "" {
		s = s.joining(h.Join)
	}
	return s, nil
}

// joining makes the Spec of an agent: what is deployed is deployed through its
// server, and a runner belongs beside that.
func (s Spec) joining(server string) Spec {
	off := false
	s.Join, s.Release, s.Runner = server, Release{Enabled: &off}, nil
	return s
}

func chooseProfile(cfg Config, hostName, flag string, hw Hardware) (profiles.Profile, string, error) {
	for _, source := range []struct{ name, why string }{
		{flag, "--profile says so"},
		{cfg.Hosts[hostName].Profile, "the configuration says so for " + hostName},
		{cfg.Defaults.Profile, "it is the configuration's default"},
	} {
		if source.name == "" {
			continue
		}
		if source.name == Auto {
			break
		}
		p, err := profiles.Load(source.name)
		return p, fmt.Sprintf("%s, because %s", p.Name, source.why), err
	}
	chosen, why := Choose(profiles.List(), hw)
	p, err := profiles.Load(chosen)
	return p, why, err
}

// nodeName makes a node's name of what the user calls the host: an address
// without user and port, dots of an IP address as hyphens.
func nodeName(hostName string) string {
	name := hostName[strings.LastIndexByte(hostName, '@')+1:]
	if addr, err := netip.ParseAddrPort(name); err == nil {
		name = addr.Addr().String()
	} else if before, _, found := strings.Cut(name, ":"); found && strings.Count(name, ":") == 1 {
		name = before
	}
	name = strings.Trim(name, "[]")
	if _, err := netip.ParseAddr(name); err == nil {
		return "node-" + strings.Trim(strings.NewReplacer(".", "-", ":", "-", "%", "-").Replace(name), "-")
	}
	return strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

// names returns the certificate's names, each once, in a stable order, so that
// reordering the configuration changes nothing on the box.
func names(node string, further []string) []string {
	rest := slices.Clone(further)
	slices.Sort(rest)
	rest = slices.DeleteFunc(slices.Compact(rest), func(n string) bool { return n == node })
	return append([]string{node}, rest...)
}
