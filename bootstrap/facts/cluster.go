package facts

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ClusterPath is the record, on each box of a cluster of several, of the others.
// It is what lets the server's own install keep the door open to its agents.
const ClusterPath = "/etc/ssg-bootstrap/cluster"

// Cluster is what a box knows of the other boxes of its cluster.
type Cluster struct {
	// Address is the one under which the others reach this box.
	Address string `json:"address,omitempty"`
	// Server is the one that the box is an agent of; it has no name on the
	// server itself.
	Server Peer `json:"server,omitzero"`
	// Agents are the agents beside this box, by name.
	Agents []Peer `json:"agents,omitempty"`
}

// Peer is another box of the cluster: the server under the name by which it was
// joined, an agent under its node's.
type Peer struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Alone reports whether there is no other box, and never was.
func (c Cluster) Alone() bool { return c.Address == "" }

// With returns the cluster with this agent in it, at this address.
func (c Cluster) With(agent Peer) Cluster {
	c.Agents = append(c.Without(agent.Name).Agents, agent)
	slices.SortFunc(c.Agents, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// Without returns the cluster without the agent of this name.
func (c Cluster) Without(name string) Cluster {
	c.Agents = slices.DeleteFunc(slices.Clone(c.Agents), func(p Peer) bool { return p.Name == name })
	return c
}

// Peers are all other boxes.
func (c Cluster) Peers() []Peer {
	if c.Server.Name == "" {
		return c.Agents
	}
	return append([]Peer{c.Server}, c.Agents...)
}

// add takes one line of the record.
func (c *Cluster) add(line string) error {
	w := strings.Fields(line)
	if len(w) == 2 && w[0] == "address" {
		w = []string{w[0], "", w[1]}
	}
	if len(w) != 3 {
		return fmt.Errorf("has %d words", len(w))
	}
	// The addresses go into firewall rules.
	if a, err := netip.ParseAddr(w[2]); err != nil || !a.Is4() {
		return fmt.Errorf("%q is not an IPv4 address", w[2])
	}
	switch p := (Peer{w[1], w[2]}); w[0] {
	case "address":
		c.Address = p.Address
	case "server":
		c.Server = p
	case "agent":
		c.Agents = append(c.Agents, p)
	default:
		return fmt.Errorf("not a role we know: %q", w[0])
	}
	return nil
}

// Meet finds the addresses under which two boxes reach each other: those in one
// network that both are in, the LAN before the tailnet. What both have, as two
// virtual machines behind networks of their own may, is no way from one to the
// other.
func Meet(a, b Network) (ofA, ofB string, ok bool) {
	for _, same := range []func(x, y netip.Prefix) bool{sameNetwork, bothInTailnet} {
		for _, x := range a.prefixes() {
			for _, y := range b.prefixes() {
				if x.Addr() != y.Addr() && same(x, y) && !b.has(x.Addr()) && !a.has(y.Addr()) {
					return x.Addr().String(), y.Addr().String(), true
				}
			}
		}
	}
	return "", "", false
}

// sameNetwork leaves out the tailnet, whose addresses stand each for itself, and
// what k3s itself made.
func sameNetwork(x, y netip.Prefix) bool {
	return !x.IsSingleIP() && x.Masked() == y.Masked()
}

func bothInTailnet(x, y netip.Prefix) bool {
	tailnet := netip.MustParsePrefix("100.64.0.0/10")
	return tailnet.Contains(x.Addr()) && tailnet.Contains(y.Addr())
}

// prefixes are the IPv4 addresses that are not the cluster's own, those of the
// default route's device first.
func (n Network) prefixes() []netip.Prefix {
	var first, rest []netip.Prefix
	for _, a := range n.Addresses {
		p, err := netip.ParsePrefix(a.CIDR)
		if err != nil || !p.Addr().Is4() || a.Device == "cni0" || a.Device == "flannel.1" {
			continue
		}
		if a.Device == n.DefaultDevice {
			first = append(first, p)
		} else {
			rest = append(rest, p)
		}
	}
	return append(first, rest...)
}

func (n Network) has(a netip.Addr) bool {
	return slices.ContainsFunc(n.prefixes(), func(p netip.Prefix) bool { return p.Addr() == a })
}

// Device returns the device that has the address, or "".
func (n Network) Device(address string) string {
	for _, a := range n.Addresses {
		if a.IP() == address {
			return a.Device
		}
	}
	return ""
}

// Main is the address that k3s takes for the box's own unless told otherwise:
// the default route's.
func (n Network) Main() string {
	if p := n.prefixes(); len(p) > 0 && n.Device(p[0].Addr().String()) == n.DefaultDevice {
		return p[0].Addr().String()
	}
	return ""
}
