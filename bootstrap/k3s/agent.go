package k3s

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// agent is a k3s that runs pods for a server on another box: it has loaded what
// lies on the disk, and the server sees its node Ready at its address.
type agent struct {
	release *release
	loaded  loaded
	server  Server
	node    string
	address string
	needs   []step.ID
	waits   profiles.Waits
}

type agentState struct {
	want            string
	unit            managed.Unit
	onDisk, running string
	// line is the newest line of the journal.
	line string
	node nodeState
}

// nodeState is what the server's API says of the node.
type nodeState struct {
	answers, there, ready bool
	address, message      string
	// boot is the boot of its box in which it reported last.
	boot string
	// server says that the node is the server's own.
	server bool
}

func (a agent) ID() step.ID      { return AgentID }
func (a agent) Title() string    { return "k3s agent of " + a.server.Name }
func (a agent) Needs() []step.ID { return a.needs }
func (a agent) Lane() step.Lane  { return step.LaneBox }

const agentScript = bootScript + `[ -r ` + digestPath + ` ] && read -r d <` + digestPath + ` && echo "disk=$d"
[ -r ` + runDigestPath + ` ] && read -r d <` + runDigestPath + ` && echo "running=$d"
printf 'line=%s\n' "$(journalctl -q -n 1 -o cat -u k3s-agent.service)"
`

func (a agent) Observe(ctx context.Context, r host.Reader) (agentState, error) {
	file, err := a.release.file(ctx, binaryFile)
	if err != nil {
		return agentState{}, err
	}
	token, node, err := a.server.lookAt(ctx, a.node)
	if err != nil {
		return agentState{}, err
	}
	l := a.loaded
	l.Cluster = clusterOf(token)
	o := agentState{node: node}
	if o.want, err = l.digest(file.SHA256); err != nil {
		return o, err
	}
	seen, err := managed.Observe(ctx, r, managed.Look{Units: []string{agentKind.unit()}, Script: agentScript})
	if err != nil {
		return o, err
	}
	m := managed.Pairs(seen.Out)
	if o.node.there && o.node.boot != m["boot"] {
		o.node.ready, o.node.message = false, "has not reported since the box started"
	}
	o.unit, o.onDisk, o.running, o.line = seen.Units[agentKind.unit()], m["disk"], m["running"], string(redact([]byte(m["line"])))
	return o, nil
}

// lookAt asks the server for the token and for a node, in one round trip.
func (s Server) lookAt(ctx context.Context, node string) (secrets.Value, nodeState, error) {
	path := nodesPath + "/" + node
	said, err := s.Box.QueryMany(ctx, []host.Command{tokenQuery(), Ask(path)})
	if err == nil {
		err = said[1].Err
	}
	if err != nil {
		return secrets.Value{}, nodeState{}, fmt.Errorf("ask the server for node %s: %w", node, err)
	}
	token, err := s.tokenIn(said[0].Out, said[0].Err)
	return token, nodeIn(said[1].Out, path), err
}

// lookAtNode asks the server's API for a node.
func lookAtNode(ctx context.Context, server host.Reader, name string) (nodeState, error) {
	path := nodesPath + "/" + name
	out, err := server.Query(ctx, Ask(path))
	if err != nil {
		return nodeState{}, fmt.Errorf("ask the server for node %s: %w", name, err)
	}
	return nodeIn(out, path), nil
}

// nodeIn reads what the API says of the node at a path.
func nodeIn(out []byte, path string) nodeState {
	answer, answered := parseAnswers(out)[path]
	if !answered {
		return nodeState{}
	}
	s := nodeState{answers: true, message: "not registered yet"}
	var n node
	if answer.into(&n) != nil {
		return s
	}
	s.there, s.address, s.server, s.boot = true, n.address(), n.ofServer(), n.Status.NodeInfo.BootID
	s.ready, s.message = n.ready("")
	return s
}

// serves says that the node is what it should be.
func (a agent) serves(o agentState) bool {
	return o.unit.Active && o.node.ready && o.node.address == a.address
}

func (a agent) Diff(o agentState) ([]step.Change, error) {
	var out []step.Change
	if o.onDisk != o.want {
		out = append(out, step.Change{Verb: step.Update, Object: digestObject, Why: "what k3s loads at its next start"})
	}
	name := agentKind.unit()
	up := o.unit.Active || o.unit.State == "activating" || o.unit.State == "reloading"
	switch {
	case !up:
		out = append(out, step.Change{Verb: step.Start, Object: name, Why: "not running"})
	case o.running != o.want:
		out = append(out, step.Change{Verb: step.Restart, Object: name, Why: "its program or configuration changed", Restarts: string(agentKind)})
	case a.serves(o):
		return out, nil
	}
	return append(out, step.Change{Verb: step.Wait, Object: a.object(), Why: a.missing(o), Work: a.waits.NodeTypical.Std()}), nil
}

func (a agent) object() string { return fmt.Sprintf("node %s, as %s sees it", a.node, a.server.Name) }

// missing says what the node is not yet.
func (a agent) missing(o agentState) string {
	switch {
	case !o.node.answers:
		return "the API of " + a.server.Name + " does not answer"
	case !o.node.there:
		return o.node.message
	case !o.node.ready:
		return "not Ready: " + short(o.node.message)
	case o.node.address != a.address:
		return fmt.Sprintf("has the address %s instead of %s", o.node.address, a.address)
	}
	return agentKind.unit() + " is " + o.unit.State
}

func (a agent) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	for _, c := range changes {
		var err error
		switch c.Verb {
		case step.Update:
			var o agentState
			if o, err = a.Observe(ctx, r.Host); err == nil {
				err = r.Host.Put(ctx, host.File{Path: digestPath, Mode: 0o644, Content: []byte(o.want + "\n")})
			}
		case step.Start, step.Restart:
			err = systemctl(ctx, r.Host, strings.ToLower(string(c.Verb)), "--no-block", agentKind.unit())
		case step.Wait:
			err = a.wait(ctx, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a agent) wait(ctx context.Context, r step.Run) error {
	err := wait.Until(ctx, wait.Condition{
		What: a.object() + ", to be Ready", Every: probeEvery, Box: probeBox, Stall: stall(max(a.waits.K3sStall, a.waits.NodeStall)),
		Next: "read `journalctl -u k3s-agent` on the box, see that nothing between the two boxes keeps them from each other, then run the same command again",
		Seen: noted(r.Note, a.waits.NodeTypical.Std()),
	}, newsOnly(func(ctx context.Context) (wait.State, error) {
		o, err := a.Observe(ctx, r.Host)
		switch {
		case err != nil:
			return wait.State{}, err
		case o.running == o.want && a.serves(o):
			return wait.State{Done: true, Seen: a.object() + ", is Ready"}, nil
		}
		text := a.missing(o)
		if o.line != "" && !o.node.ready {
			text += "; k3s: " + short(o.line)
		}
		return wait.State{Seen: text}, nil
	}))
	return agentKind.explain(ctx, r.Host, err)
}

// staleNode is the node of a machine that is no more: a new disk under an old
// name has another password than the cluster remembers, and would be kept out.
type staleNode struct{ name, server string }

// StaleNodeID is the step that forgets it; it is one of the server's.
const StaleNodeID step.ID = "stale-node"

// ForgetNode returns the step that has the server forget the node of a box that
// lost its disk.
func ForgetNode(name, server string) step.Step { return step.Of(staleNode{name, server}) }

func (s staleNode) ID() step.ID      { return StaleNodeID }
func (s staleNode) Title() string    { return "Node of a machine that is no more" }
func (s staleNode) Needs() []step.ID { return nil }
func (s staleNode) Lane() step.Lane  { return step.LaneBox }

func (s staleNode) Observe(ctx context.Context, r host.Reader) (nodeState, error) {
	return lookAtNode(ctx, r, s.name)
}

func (s staleNode) Diff(o nodeState) ([]step.Change, error) {
	switch {
	case !o.there:
		return nil, nil
	case o.server, o.ready:
		return nil, fault.New(fault.PreflightRefused, "give the box another name: nodeName in ssg-bootstrap.yaml",
			"another machine, at %s, is the node %s of %s's cluster", o.address, s.name, s.server)
	}
	return []step.Change{{Verb: step.Remove, Object: "node " + s.name, Why: "the box has lost the disk that this node was on"}}, nil
}

func (s staleNode) Apply(ctx context.Context, r step.Run, _ []step.Change) error {
	return DeleteNode(ctx, r.Host, s.name)
}

// DeleteNode removes a node from the cluster of the server that h is, and the
// record of its password, so that a machine may come back under its name.
func DeleteNode(ctx context.Context, h host.Host, name string) error {
	for _, argv := range [][]string{
		{"delete", "node", name, "--ignore-not-found"},
		{"-n", "kube-system", "delete", "secret", name + ".node-password.k3s", "--ignore-not-found"},
	} {
		if _, err := h.Run(ctx, host.Command{Argv: append([]string{binaryPath, "kubectl"}, argv...), Root: true}); err != nil {
			return fmt.Errorf("delete node %s: %w", name, err)
		}
	}
	return nil
}

// drainPatience is how long pods get to end by themselves. A drain that runs out
// of it has moved what can be moved.
const drainPatience = 5 * time.Minute

// Drain moves the pods of a node to the others, as far as they can move. It runs
// as a job of the server's box; that something stays behind is said and is no
// reason to keep a box that its owner takes away.
func Drain(ctx context.Context, h host.Host, node string, seen func(line string)) error {
	job := host.Job{Name: "drain-" + node, Stall: 2 * drainPatience, Argv: []string{
		binaryPath, "kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=" + drainPatience.String(),
	}}
	err := h.Job(ctx, job, seen)
	var failed *host.CommandError
	if errors.As(err, &failed) || fault.CodeOf(err) == fault.CommandFailed {
		seen("not all of its pods could be moved")
		return nil
	}
	if err != nil {
		return fmt.Errorf("drain node %s: %w", node, err)
	}
	return nil
}
