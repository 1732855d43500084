package k3s

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// systemPods are the components that k3s brings along, running.
type systemPods struct {
	server   server
	disabled []string
	waits    profiles.Waits
}

// component is one of k3s's packaged components: the name that disables it and
// how its pods' names begin.
type component struct{ name, prefix string }

func (s systemPods) components() []component {
	all := []component{
		{"coredns", "coredns-"},
		{"local-storage", "local-path-provisioner-"},
		{"metrics-server", "metrics-server-"},
		{"traefik", "traefik-"},
	}
	if !slices.Contains(s.disabled, "traefik") {
		all = append(all, component{"servicelb", "svclb-traefik-"})
	}
	return slices.DeleteFunc(all, func(c component) bool { return slices.Contains(s.disabled, c.name) })
}

type podsState struct {
	answers bool
	pods    []Pod
	// pid is the process of k3s; upUnder is the one under which all pods were
	// seen to work, if they ever were since the box was switched on.
	pid, upUnder string
}

// settled says that all pods came up under this very process of k3s. One that
// runs and is not Ready at the moment then only is slow to answer its probe, as
// metrics-server is now and then on such a CPU: Kubernetes' business, and
// nothing that an install could change.
func (o podsState) settled() bool { return o.upUnder != "" && o.upUnder == o.pid }

const podsPath = "/api/v1/namespaces/kube-system/pods?includeObject=None"

func (s systemPods) ID() step.ID      { return PodsID }
func (s systemPods) Title() string    { return "System pods" }
func (s systemPods) Needs() []step.ID { return []step.ID{ServerID, ImagesID} }
func (s systemPods) Lane() step.Lane  { return step.LaneBox }

func (s systemPods) Observe(ctx context.Context, r host.Reader) (podsState, error) {
	seen, err := s.server.query(ctx, r, false)
	if err != nil {
		return podsState{}, err
	}
	o := podsState{pid: seen.Units[unitName].PID, upUnder: managed.Pairs(seen.Out)["pods"]}
	var t Table
	if listed, answered := parseAnswers(seen.Beside[0])[podsPath]; !answered || listed.into(&t) != nil {
		return o, nil
	}
	o.answers, o.pods = true, pods(t)
	return o, nil
}

const podsObject = "pods in kube-system"

func (s systemPods) Diff(o podsState) ([]step.Change, error) {
	waiting := s.waiting(o)
	if len(waiting) == 0 {
		return nil, nil
	}
	why := strings.Join(waiting, ", ")
	if !o.answers {
		why = "not running"
	}
	return []step.Change{{Verb: step.Wait, Object: podsObject, Why: why, Work: s.waits.PodsTypical.Std()}}, nil
}

// waiting returns what does not work yet, in a fixed order.
func (s systemPods) waiting(o podsState) []string {
	var out []string
	for _, c := range s.components() {
		there := slices.ContainsFunc(o.pods, func(p Pod) bool { return strings.HasPrefix(p.Name, c.prefix) })
		if !there {
			out = append(out, strings.TrimSuffix(c.prefix, "-")+" absent")
		}
	}
	for _, p := range o.pods {
		if p.Works() || !s.ours(p) || (o.settled() && p.Status == "Running") {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s %s", p.Name, p.Ready, p.Status))
	}
	slices.Sort(out)
	return out
}

// ours leaves out what the owner put into the namespace.
func (s systemPods) ours(p Pod) bool {
	return slices.ContainsFunc(s.components(), func(c component) bool { return strings.HasPrefix(p.Name, c.prefix) })
}

func (s systemPods) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if len(changes) == 0 {
		return nil
	}
	var pid string
	err := wait.Until(ctx, wait.Condition{
		What: podsObject, Every: 2 * probeEvery, Box: probeBox, Stall: stall(s.waits.PodsStall),
		Next: "see `kubectl -n kube-system get events` through `ssg-bootstrap tunnel`, then run the same command again",
		Seen: noted(r.Note, s.waits.PodsTypical.Std()),
	}, newsOnly(func(ctx context.Context) (wait.State, error) {
		o, err := s.Observe(ctx, r.Host)
		if err != nil {
			return wait.State{}, err
		}
		if !o.answers {
			return wait.State{Seen: "API server does not answer"}, nil
		}
		pid = o.pid
		left := s.waiting(o)
		if len(left) == 0 {
			return wait.State{Done: true, Seen: fmt.Sprintf("all of them run (%d)", len(o.pods))}, nil
		}
		return wait.State{Seen: strings.Join(left, ", ")}, nil
	}))
	if err != nil {
		return err
	}
	return r.Host.Put(ctx, host.File{Path: podsPidPath, Mode: 0o644, Content: []byte(pid + "\n")})
}
