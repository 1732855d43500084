package k3s

import (
	"fmt"
	"slices"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/system"
)

// Server is the box whose cluster an agent joins, as the agent's steps see it:
// they may look at it and not change it.
type Server struct {
	// Name is what the user calls it.
	Name string
	Box  host.Reader
	// Version is the k3s that it runs.
	Version string
}

// AgentInput is what an agent's steps are made from. Facts are the agent's, with
// the cluster as it is to be.
type AgentInput struct {
	Spec   spec.Spec
	Facts  facts.Facts
	Store  Store
	Server Server
	// Needs are the steps that make the server ready for the agent.
	Needs []step.ID
}

// AgentSteps returns the steps of a box that joins a server. It runs the
// server's version, whatever its profile says: an agent must not be newer.
func AgentSteps(in AgentInput) []step.Step {
	r := newRelease(in.Store, in.Server.Version)
	l := newAgentLoaded(in.Spec, in.Facts)
	base := system.IDs(system.Input{Spec: in.Spec, Facts: in.Facts})
	return []step.Step{
		step.Of(newBinary(r, in.Server.checkNewer)),
		step.Of(newImages(r, nil)),
		step.Of(agentConfiguration{l, in.Server}),
		step.Of(unit{agentKind}),
		step.Of(agent{
			release: r, loaded: l, server: in.Server, node: in.Spec.NodeName, address: in.Facts.Cluster.Address,
			waits: in.Spec.Profile.Waits, needs: slices.Concat(base, in.Needs, []step.ID{BinaryID, ConfigID, UnitID}),
		}),
	}
}

// JoinedSteps are those of a server's steps that follow from its agents.
func JoinedSteps(in Input) []step.Step {
	return slices.DeleteFunc(Steps(in), func(s step.Step) bool { return s.ID() != ConfigID && s.ID() != ServerID })
}

// checkNewer refuses an agent that was newer than the server is: Kubernetes
// promises nothing for it, and the server is what should be brought forward.
func (s Server) checkNewer(installed, wanted string) error {
	have, ok := minor(installed)
	want, ok2 := minor(wanted)
	if !ok || !ok2 || want >= have {
		return nil
	}
	return fault.New(fault.PreflightRefused,
		fmt.Sprintf("bring %s to v1.%d: set it in its profile and run `ssg-bootstrap install --host %s`; or uninstall the agent first", s.Name, have, s.Name),
		"k3s on the box is newer (v1.%d) than that of its server (%s on %s), and an agent must not be", have, wanted, s.Name)
}
