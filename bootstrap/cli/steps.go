package cli

import (
	"slices"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/system"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
	"github.com/omkar619-dev/ssg-bootstrap/runner"
)

// Steps lists everything that should be true of a box, in the order in which
// it matters: first the system, because k3s starts slowly without swap and
// with a wrong clock makes certificates that are not yet valid; then the
// tailnet, whose name and addresses k3s's certificate is to hold from its first
// start on; then k3s; then the application, and at the end what brings the next
// version of it.
func Steps(s spec.Spec, f facts.Facts, store tailnet.Store, app application, jobs *runner.Input) []step.Step {
	k := k3s.Input{Spec: s, Facts: f, Store: store}
	out := system.Steps(system.Input{Spec: s, Facts: f})
	if s.Tailnet != nil {
		k.Names = tailnet.NewNames()
		out = append(out, tailnet.Steps(tailnet.Input{Spec: s, Facts: f, Store: store, Credentials: app.tailnet})...)
	}
	out = append(out, k3s.Steps(k)...)
	last := k3s.PodsID
	if s.Release.On() {
		// The system's images come first on the link, for nothing runs without
		// them.
		out = append(out, app.images.Step(k3s.ServerID, k3s.ImagesID))
		app.release.Needs = []step.ID{k3s.PodsID, images.ID}
		out = append(out, release.Steps(app.release)...)
		last = release.ReleaseID
	}
	if jobs == nil {
		return out
	}
	// The application serves before 200 MB of runner take the link.
	jobs.Needs = []step.ID{last}
	return append(out, runner.Steps(*jobs)...)
}

// agentSteps lists what should be true of a box that joins another one's
// cluster, and of that one because of it: before the agent comes, the door must
// be open, and the server at the address that the agent goes to.
func agentSteps(on step.Box, server joined, agent k3s.AgentInput, forget bool) []step.Step {
	there := append(system.Cluster(server.in.Facts.Cluster), k3s.JoinedSteps(server.in)...)
	if forget {
		there = append(there, k3s.ForgetNode(agent.Spec.NodeName, server.name))
	}
	there = step.Elsewhere(on, server.name, "server", there)
	for _, s := range there {
		agent.Needs = append(agent.Needs, s.ID())
	}
	return slices.Concat(there, system.Steps(system.Input{Spec: agent.Spec, Facts: agent.Facts}), k3s.AgentSteps(agent))
}

// joined is a server that another box joins.
type joined struct {
	name string
	in   k3s.Input
}

// selected leaves out what --only and --skip leave out.
func selected(steps []step.Step, f specFlags) ([]step.Step, error) {
	out, err := step.Select(steps, ids(f.only), ids(f.skip))
	if err != nil {
		return nil, &fault.Error{Code: fault.Usage, Op: "read --only and --skip", Err: err, Next: "use the names that `ssg-bootstrap plan` prints"}
	}
	return out, nil
}

func ids(names []string) []step.ID {
	var out []step.ID
	for _, n := range names {
		out = append(out, step.ID(n))
	}
	return out
}
