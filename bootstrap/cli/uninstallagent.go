package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/system"
)

// uninstallAgent takes an agent out of its cluster: what runs there moves first,
// as far as it can.
func (s *session) uninstallAgent(ctx context.Context, o uninstallOptions, lost []k3s.Data) error {
	a, c := s.a, s.facts.Cluster
	node, err := s.nodeToLeave(ctx, o)
	if err != nil {
		return err
	}
	a.tell(warning(s.name, lost))
	if node != "" {
		a.tell(fmt.Sprintf("It drains and deletes the node %s in the cluster of %s (context %s). Pods with volumes on %s cannot move: they wait for a node that does not come back.",
			node, c.Server.Name, c.Server.Name, s.name))
	}
	if err := o.confirmed(ctx, newPrompter(a), s.name); err != nil {
		return err
	}
	if node != "" {
		if err := s.leaveCluster(ctx, node); err != nil {
			return err
		}
	}
	note, end := a.task("uninstall", "remove k3s")
	err = k3s.UninstallAgent(ctx, s.client, note)
	end(err)
	if err != nil {
		return err
	}
	a.answer(UninstallData{Host: s.name, Removed: lost, Node: node}, func(w io.Writer) {
		fmt.Fprintf(w, "k3s is gone from %s, and the node %s from the cluster of %s.\n", s.name, node, c.Server.Name)
	})
	return nil
}

// nodeToLeave opens the server and finds the box's node there; empty where it
// has none, or is to be left.
func (s *session) nodeToLeave(ctx context.Context, o uninstallOptions) (string, error) {
	c := s.facts.Cluster
	if o.leaveNode || c.Server.Name == "" {
		return "", nil
	}
	var err error
	if s.server, err = s.openServer(ctx, c.Server.Name); err != nil {
		return "", fmt.Errorf("take %s out of its cluster (--leave-node removes it without): %w", s.name, err)
	}
	now, err := k3s.Look(ctx, host.ReadOnly(s.server.client))
	if err != nil {
		return "", err
	}
	if now.Node == "" {
		return "", fault.New(fault.ClusterUnreachable, "see `ssg-bootstrap status --host "+c.Server.Name+"`, or add --leave-node", "the API of %s does not answer", c.Server.Name)
	}
	for _, n := range now.Agents {
		if n.Address == c.Address {
			return n.Node, nil
		}
	}
	return "", nil
}

// leaveCluster has the server drain and delete the node, and close its firewall
// to the box.
func (s *session) leaveCluster(ctx context.Context, node string) error {
	server := s.server
	release, err := server.client.Lock(ctx, s.a.holder())
	if err != nil {
		return fmt.Errorf("take %s: %w", server.name, err)
	}
	defer release()
	note, end := s.a.task("leave", "take the node "+node+" out of the cluster of "+server.name)
	err = k3s.Drain(ctx, server.client, node, note)
	if err == nil {
		err = k3s.DeleteNode(ctx, server.client, node)
	}
	if err == nil {
		err = server.forget(ctx, node)
	}
	end(err)
	return err
}

// forget takes an agent out of the box's record and firewall. Its address stays:
// giving it up would restart k3s for nothing.
func (s *session) forget(ctx context.Context, node string) error {
	if err := s.gather(ctx); err != nil {
		return err
	}
	steps := system.Cluster(s.facts.Cluster.Without(node))
	p, err := step.MakePlan(ctx, steps, s.client)
	if err != nil {
		return err
	}
	_, err = step.Converge(ctx, steps, s.client, p, step.Options{}, nil)
	return err
}
