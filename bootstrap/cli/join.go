package cli

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
)

// joinBy opens the server as well, where the flag or the configuration says that
// the box is to join one. The flag writes nothing: it holds for this run.
func (s *session) joinBy(ctx context.Context, f specFlags) error {
	h := s.cfg.Hosts[s.name]
	if f.join != "" {
		h.Join = f.join
		hosts := maps.Clone(s.cfg.Hosts)
		if hosts == nil {
			hosts = map[string]spec.Host{}
		}
		hosts[s.name] = h
		s.cfg.Hosts = hosts
	}
	if h.Join == "" {
		return nil
	}
	if f.join != "" {
		if err := s.joinable(h); err != nil {
			return err
		}
	}
	var err error
	s.server, err = s.openServer(ctx, h.Join)
	return err
}

// joinable finds mistakes in the flag that a configuration is refused for as well.
func (s *session) joinable(h spec.Host) error {
	if why := s.cfg.CannotJoin(s.name, h.Join); why != "" {
		return fault.New(fault.Usage, "name the box whose cluster it is to join", "%s", why)
	}
	if h.Runner != nil {
		return fault.New(fault.Usage, "take hosts."+s.name+".runner out of the configuration", "a runner deploys through the server: %s is to be an agent", s.name)
	}
	return nil
}

// openServer opens the box of the server beside that of the agent.
func (s *session) openServer(ctx context.Context, name string) (*session, error) {
	server, err := s.a.open(ctx, hostFlags{host: name})
	s.a.host = s.name
	if err != nil {
		return nil, fmt.Errorf("reach the server %s: %w", name, err)
	}
	return server, nil
}

// agentIsNotRestored refuses a backup for a box that keeps nothing: the
// cluster's state is its server's.
func (s *session) agentIsNotRestored(want string) error {
	if want == "" || want == noRestore {
		return nil
	}
	return fault.New(fault.RestoreRefused, "restore the server: `ssg-bootstrap install --host "+s.server.name+" --restore "+want+"`",
		"%s is an agent of %s and has no state of its own", s.name, s.server.name)
}

// notAlone refuses to make a server of a box that is an agent.
func (s *session) notAlone() error {
	of, next := "another cluster", "remove it there first: `ssg-bootstrap uninstall --host "+s.name+"`"
	if name := s.facts.Cluster.Server.Name; name != "" {
		of, next = name, "go on with `ssg-bootstrap install --host "+s.name+" --join "+name+"`, or "+next
	}
	return fault.New(fault.PreflightRefused, next, "%s is an agent of %s", s.name, of)
}

// assembleAgent lists the steps of an agent and of its server.
func (s *session) assembleAgent(ctx context.Context, store *artifact.Store, f specFlags) error {
	if err := s.fitsAsAgent(); err != nil {
		return err
	}
	version, err := s.server.asServer(ctx)
	if err != nil {
		return err
	}
	if s.spec.NodeName == s.server.spec.NodeName {
		return fault.New(fault.ConfigInvalid, "give "+s.name+" a nodeName in the configuration", "%s and %s would both be the node %s", s.name, s.server.name, s.spec.NodeName)
	}
	there, here, met := facts.Meet(s.server.facts.Network, s.facts.Network)
	if !met {
		return fault.New(fault.PreflightRefused, "put both boxes into one LAN, or both into the tailnet, then run the same command again",
			"%s and %s have no network in common", s.server.name, s.name)
	}
	if err := s.server.oneAddress(there); err != nil {
		return err
	}
	before := s.server.facts.Cluster
	in := k3s.Input{Spec: s.server.spec, Facts: s.server.facts, Store: store}
	if in.Spec.Tailnet != nil {
		in.Names = tailnet.NewNames()
	}
	if len(before.Without(s.spec.NodeName).Agents) == len(before.Agents) {
		if err := s.server.asItShouldBe(ctx, in); err != nil {
			return err
		}
	}
	self := facts.Peer{Name: s.spec.NodeName, Address: here}
	in.Facts.Cluster.Address = there
	in.Facts.Cluster = in.Facts.Cluster.With(self)
	s.facts.Cluster = facts.Cluster{
		Address: here, Server: facts.Peer{Name: s.server.name, Address: there}, Agents: in.Facts.Cluster.Without(self.Name).Agents,
	}
	agent := k3s.AgentInput{
		Spec: s.spec, Facts: s.facts, Store: store,
		Server: k3s.Server{Name: s.server.name, Box: host.ReadOnly(s.server.client), Version: version},
	}
	s.steps, err = selected(agentSteps(s.server.client, joined{s.server.name, in}, agent, !s.facts.K3s.Identity), f)
	return err
}

// fitsAsAgent refuses a box that is something else already.
func (s *session) fitsAsAgent() error {
	remove := "remove it first: `ssg-bootstrap uninstall --host " + s.name + "`"
	of := s.facts.Cluster.Server.Name
	switch {
	case s.facts.K3s.Unit:
		return fault.New(fault.PreflightRefused, remove+", which removes its data", "%s is a server with a cluster of its own", s.name)
	case s.facts.K3s.Agent && of != "" && of != s.server.name:
		return fault.New(fault.PreflightRefused, remove, "%s is an agent of %s, not of %s", s.name, of, s.server.name)
	}
	return nil
}

// asServer finds out what the server is, and which k3s runs there.
func (s *session) asServer(ctx context.Context) (version string, err error) {
	if err := s.examine(ctx, specFlags{}); err != nil {
		return "", err
	}
	install := "`ssg-bootstrap install --host " + s.name + "`"
	switch {
	case s.facts.K3s.Agent:
		return "", fault.New(fault.PreflightRefused, "join its server", "%s is an agent itself, of %s", s.name, s.facts.Cluster.Server.Name)
	case !s.facts.K3s.Unit:
		return "", fault.New(fault.NotInstalled, "make the server first: "+install, "there is no k3s on %s that could be joined", s.name)
	}
	now, err := k3s.Look(ctx, host.ReadOnly(s.client))
	if err != nil {
		return "", err
	}
	if now.Version == "" {
		return "", fault.New(fault.NotInstalled, "see what keeps it from running with "+install, "k3s on %s does not answer", s.name)
	}
	return now.Version, nil
}

// oneAddress refuses a second address for the same server: node and overlay are
// on one of its networks only.
func (s *session) oneAddress(address string) error {
	c := s.facts.Cluster
	if c.Alone() || c.Address == address || len(c.Agents) == 0 {
		return nil
	}
	return fault.New(fault.PreflightRefused, "bring the box into the network of that address, or remove the other agents first",
		"%s serves its agents at %s, which the box does not share; it would be at %s", s.name, c.Address, address)
}

// asItShouldBe refuses a server that differs from what its own install would
// make of it: a join changes what it must, and nothing that nobody asked for.
func (s *session) asItShouldBe(ctx context.Context, in k3s.Input) error {
	steps, err := step.Select(k3s.JoinedSteps(in), nil, nil) // what they need was done long ago
	if err != nil {
		return err
	}
	p, err := step.MakePlan(ctx, steps, s.client)
	if err != nil {
		return fmt.Errorf("look at %s: %w", s.name, err)
	}
	if p.Empty() {
		return nil
	}
	var differs []string
	for _, planned := range p.Steps {
		for _, c := range planned.Changes {
			differs = append(differs, fmt.Sprintf("%s %s (%s)", c.Verb, c.Object, c.Why))
		}
	}
	return &fault.Error{
		Code: fault.PreflightRefused, Err: fmt.Errorf("%s is not as it should be, and joining it would change that too", s.name),
		Evidence: strings.Join(differs, "\n"), Next: "run `ssg-bootstrap install --host " + s.name + "` first",
	}
}
