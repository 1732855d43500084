package k3s

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// AdminKubeconfig returns the admin's kubeconfig as k3s wrote it.
func AdminKubeconfig(ctx context.Context, r host.Reader) (secrets.Value, error) {
	out, err := r.Query(ctx, host.Command{Argv: []string{"cat", adminPath}, Root: true})
	var failed *host.CommandError
	switch {
	case errors.As(err, &failed):
		return secrets.Value{}, fault.New(fault.NotInstalled, "", "there is no %s on the box", adminPath)
	case err != nil:
		return secrets.Value{}, fmt.Errorf("read %s: %w", adminPath, err)
	}
	return secrets.NewValue(string(out)), nil
}

// Status is what a running k3s looks like.
type Status struct {
	Installed bool   `json:"installed"`
	Unit      string `json:"unit"`
	PID       string `json:"pid,omitempty"`
	Restarts  int    `json:"restarts"`
	// Since is when the process that runs was started.
	Since    time.Time `json:"since,omitzero"`
	Version  string    `json:"version,omitempty"`
	Runtime  string    `json:"runtime,omitempty"`
	Node     string    `json:"node,omitempty"`
	Ready    bool      `json:"ready"`
	NodeSays string    `json:"nodeSays,omitempty"`
	// Agents are the cluster's other nodes.
	Agents    []Agent `json:"agents,omitempty"`
	Pods      []Pod   `json:"pods,omitempty"`
	Memory    Usage   `json:"memory"`
	DiskUsed  int64   `json:"diskUsed"`
	DiskFree  int64   `json:"diskFree"`
	Datastore int64   `json:"datastore"`
}

// Agent is a node on another box, as the server sees it.
type Agent struct {
	Node    string `json:"node"`
	Address string `json:"address"`
	Version string `json:"version"`
	Ready   bool   `json:"ready"`
	Says    string `json:"says,omitempty"`
}

// Usage is the memory of k3s's own processes, in bytes and as each process's
// fair share (PSS): shared pages are counted once.
type Usage struct {
	Server     int64 `json:"server"`
	Containerd int64 `json:"containerd"`
	Shims      int64 `json:"shims"`
}

// The processes are found by the service's cgroup. Pods are not in it.
const statusScript = bootScript + `group=/sys/fs/cgroup/system.slice/` + unitName + `/cgroup.procs
if [ -r "$group" ]; then
	while read -r pid; do
		read -r name <"/proc/$pid/comm" || continue
		awk -v name="$name" '$1 == "Pss:" { print "pss=" $2 " " name }' "/proc/$pid/smaps_rollup"
	done <"$group"
fi
set -f
set -- $(df -B1 --output=used,avail /var/lib)
echo "disk=$3 $4"
[ -f ` + dataDir + `/server/db/state.db ] && echo "datastore=$(stat -c %s ` + dataDir + `/server/db/state.db)"
`

const (
	nodesPath   = "/api/v1/nodes"
	allPodsPath = "/api/v1/pods?includeObject=None"
)

// LookAtAgent returns the status of a k3s that is an agent. What the cluster
// thinks of its node only the server can tell.
func LookAtAgent(ctx context.Context, r host.Reader) (Status, error) {
	o, err := managed.Observe(ctx, r, managed.Look{Units: []string{agentKind.unit()}, Script: agentKind.text(statusScript)})
	if err != nil {
		return Status{}, fmt.Errorf("look at k3s: %w", err)
	}
	return parseStatus(o.Units[agentKind.unit()], o.Out), nil
}

// Look returns the status of k3s, in one round trip.
func Look(ctx context.Context, r host.Reader) (Status, error) {
	o, err := managed.Observe(ctx, r, managed.Look{
		Units: []string{unitName}, Script: statusScript, Beside: []host.Command{Ask(nodesPath, allPodsPath)},
	})
	if err != nil {
		return Status{}, fmt.Errorf("look at k3s: %w", err)
	}
	s := parseStatus(o.Units[unitName], o.Out)
	s.cluster(parseAnswers(o.Beside[0]), managed.Pairs(o.Out)["boot"])
	return s, nil
}

func parseStatus(u managed.Unit, out []byte) Status {
	m := managed.Pairs(out)
	s := Status{Installed: u.Loaded, Unit: u.State, PID: u.PID, Restarts: u.Restarts, Since: u.Started}
	s.DiskUsed, s.DiskFree = twoNumbers(m["disk"])
	s.Datastore, _ = twoNumbers(m["datastore"])
	for line := range strings.Lines(string(out)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "pss=")
		if !ok {
			continue
		}
		kib, name, _ := strings.Cut(rest, " ")
		n, _ := strconv.ParseInt(kib, 10, 64)
		switch {
		case strings.HasPrefix(name, "containerd-shim"):
			s.Memory.Shims += n << 10
		case strings.HasPrefix(name, "containerd"):
			s.Memory.Containerd += n << 10
		default:
			s.Memory.Server += n << 10
		}
	}
	return s
}

func twoNumbers(v string) (int64, int64) {
	a, b, _ := strings.Cut(v, " ")
	x, _ := strconv.ParseInt(a, 10, 64)
	y, _ := strconv.ParseInt(b, 10, 64)
	return x, y
}

func (s *Status) cluster(got answers, boot string) {
	var nodes struct {
		Items []node `json:"items"`
	}
	if err := got[nodesPath].into(&nodes); err == nil && len(nodes.Items) > 0 {
		// The server's own node comes first, whatever the names say.
		slices.SortStableFunc(nodes.Items, func(a, b node) int {
			switch {
			case a.ofServer() == b.ofServer():
				return 0
			case a.ofServer():
				return -1
			}
			return 1
		})
		for _, n := range nodes.Items[1:] {
			ready, says := n.ready("")
			s.Agents = append(s.Agents, Agent{n.Metadata.Name, n.address(), n.Status.NodeInfo.KubeletVersion, ready, says})
		}
		n := nodes.Items[0]
		s.Node, s.Version, s.Runtime = n.Metadata.Name, n.Status.NodeInfo.KubeletVersion, n.Status.NodeInfo.ContainerRuntimeVersion
		s.Ready, s.NodeSays = n.ready(boot)
	}
	var t Table
	if got[allPodsPath].into(&t) == nil {
		s.Pods = pods(t)
	}
}
