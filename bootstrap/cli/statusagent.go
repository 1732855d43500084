package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
)

// Membership is what an agent is to its cluster, as programs get it.
type Membership struct {
	// Server is the host that was joined; empty where somebody else did that.
	Server  string `json:"server,omitempty"`
	Address string `json:"address,omitempty"`
	// Node is the box's node as the server sees it; nil where there is none.
	Node *k3s.Agent `json:"node,omitempty"`
	// Unknown says why the server could not be asked.
	Unknown string `json:"unknown,omitempty"`
}

// membership asks the server for the box's node. A server that is away is no
// reason to say nothing of the box itself.
func (s *session) membership(ctx context.Context, c facts.Cluster) *Membership {
	m := &Membership{Server: c.Server.Name, Address: c.Server.Address}
	if m.Server == "" {
		m.Unknown = "the box has no record of its server"
		return m
	}
	server, err := s.openServer(ctx, m.Server)
	if err != nil {
		m.Unknown = err.Error()
		return m
	}
	s.server = server
	now, err := k3s.Look(ctx, host.ReadOnly(server.client))
	switch i := slices.IndexFunc(now.Agents, func(a k3s.Agent) bool { return a.Address == c.Address }); {
	case err != nil:
		m.Unknown = err.Error()
	case now.Node == "":
		m.Unknown = "the API of " + m.Server + " does not answer"
	case i >= 0:
		m.Node = &now.Agents[i]
	}
	return m
}

func (m *Membership) describe(row func(name, format string, args ...any)) {
	if m.Server == "" {
		row("agent of", "an unknown server: %s", m.Unknown)
		return
	}
	row("agent of", "%s, at %s", m.Server, m.Address)
	switch {
	case m.Unknown != "":
		row("node", "unknown: %s", m.Unknown)
	case m.Node == nil:
		row("node", "%s does not know the box", m.Server)
	default:
		row("node", "%s", agentText(*m.Node))
	}
}

func agentText(a k3s.Agent) string {
	state := "Ready"
	if !a.Ready {
		state = "not Ready: " + a.Says
	}
	return fmt.Sprintf("%s, at %s, %s, %s", a.Node, a.Address, a.Version, state)
}

func (m *Membership) verdict(d StatusData) error {
	again := "`ssg-bootstrap install --host " + d.Host + " --join " + m.Server + "` starts it and says what is missing"
	switch {
	case d.K3s.Unit != "active":
		return fault.New(fault.WaitStalled, again, "k3s on %s does not run, it is %s", d.Host, d.K3s.Unit)
	case m.Unknown != "":
		return fault.New(fault.WaitStalled, "see `ssg-bootstrap status --host "+m.Server+"`", "whether the node is Ready is not known: %s", m.Unknown)
	case m.Node == nil:
		return fault.New(fault.WaitStalled, again, "%s has no node at the address of %s", m.Server, d.Host)
	case !m.Node.Ready:
		return fault.New(fault.WaitStalled, again, "the node is not Ready: %s", m.Node.Says)
	}
	return nil
}
