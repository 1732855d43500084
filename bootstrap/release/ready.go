package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

const (
	probeEvery = 5 * time.Second
	probeBox   = 90 * time.Second
	// crashes is how often a container may fail in one wait. The first ones
	// are forgiven: on a box that does everything at once, some are early.
	crashes = 6
)

// serve waits until all pods are Ready and the smoke test passes.
func (d Deployer) serve(ctx context.Context) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	if d.Smoke == nil {
		return nil
	}
	d.Note("smoke test")
	return d.Smoke(ctx)
}

// ready waits until every workload of the release is complete.
func (d Deployer) ready(ctx context.Context) error {
	p := newProgress(d.Note)
	var verdict error
	err := wait.Until(ctx, wait.Condition{
		What: "the pods of " + d.Want.Name, Every: probeEvery, Box: probeBox, Stall: d.Want.Waits.Stall,
		Next: d.logsCommand(""),
	}, func(ctx context.Context) (wait.State, error) {
		w, err := readWorkloads(ctx, d.Cluster, d.Want.Name)
		if err != nil {
			return wait.State{}, err
		}
		if err := d.unstick(ctx, w); err != nil {
			return wait.State{}, err
		}
		state := p.see(w)
		if name := p.crashed(w); name != "" {
			verdict = fmt.Errorf("%s crashed %d times in a row", name, crashes)
			state.Done = true
		}
		return state, nil
	})
	if err == nil && verdict == nil {
		return nil
	}
	return d.withLastWords(ctx, err, verdict, p)
}

// unstick removes pods that stand in the way of their successors.
func (d Deployer) unstick(ctx context.Context, w workloads) error {
	for _, p := range w.stuck() {
		d.Note(p.Name + " cannot come up and makes way for its successor")
		err := d.Cluster.Client.CoreV1().Pods(d.Cluster.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return d.Cluster.Explain("remove "+p.Name, err)
		}
	}
	return nil
}

func (d Deployer) withLastWords(ctx context.Context, waited, verdict error, p *progress) error {
	var stalled *fault.Error
	if verdict == nil && (!errors.As(waited, &stalled) || ctx.Err() != nil) {
		return waited
	}
	words := d.lastWords(ctx, p.worst)
	if verdict != nil {
		return &fault.Error{Code: fault.ReleaseFailed, Op: "wait for the pods of " + d.Want.Name, Err: verdict, Evidence: words, Next: d.logsCommand(p.worst)}
	}
	stalled.Evidence = strings.TrimSpace(p.last + "\n" + words)
	if p.worst != "" {
		stalled.Next = d.logsCommand(p.worst)
	}
	return stalled
}

func (d Deployer) logsCommand(pod string) string {
	if pod == "" {
		return fmt.Sprintf("see `kubectl -n %s get pods,events`, then run the same command again", d.Want.Namespace)
	}
	return fmt.Sprintf("see `kubectl -n %s describe pod %s`, mend it, then run the same command again", d.Want.Namespace, pod)
}

// progress turns what the pods do into what counts: a pod that has come
// further than ever. A container that crashes, starts and crashes again changes
// all the time and gets nowhere.
type progress struct {
	note     func(string)
	best     map[string]int
	restarts map[string]int32
	counted  string
	last     string
	worst    string
}

func newProgress(note func(string)) *progress {
	return &progress{note: note, best: map[string]int{}, restarts: map[string]int32{}}
}

func (p *progress) see(w workloads) wait.State {
	unfinished := w.unfinished()
	text := p.describe(w, unfinished)
	if text != p.last {
		p.note(text)
		p.last = text
	}
	if len(unfinished) == 0 && len(w.deployments)+len(w.statefulSets) > 0 {
		return wait.State{Done: true, Seen: text}
	}
	if p.further(w) || p.counted == "" {
		p.counted = text
	}
	return wait.State{Seen: p.counted}
}

// further reports whether a pod came further than it ever was, or a new one
// appeared.
func (p *progress) further(w workloads) bool {
	moved := false
	for _, pod := range w.pods {
		id := string(pod.UID)
		if r := rank(pod) + 1; r > p.best[id] {
			p.best[id], moved = r, true
		}
	}
	return moved
}

func (p *progress) describe(w workloads, unfinished []string) string {
	if len(unfinished) == 0 {
		return fmt.Sprintf("all %d pods are Ready", len(w.pods))
	}
	var waiting []string
	p.worst = ""
	lowest := 0
	for _, pod := range w.pods {
		what := waitsFor(pod)
		if what == "" {
			continue
		}
		waiting = append(waiting, pod.Name+" "+what)
		if r := rank(pod); p.worst == "" || hopeless(pod) || r < lowest {
			p.worst, lowest = pod.Name, r
		}
	}
	if len(waiting) == 0 {
		return strings.Join(unfinished, ", ")
	}
	slices.Sort(waiting)
	return strings.Join(waiting, ", ")
}

// crashed names a container that failed too often since the wait began.
func (p *progress) crashed(w workloads) string {
	for _, pod := range w.pods {
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			id := string(pod.UID) + "/" + c.Name
			first, known := p.restarts[id]
			if !known {
				p.restarts[id] = c.RestartCount
				continue
			}
			if c.RestartCount-first >= crashes && !c.Ready && failedLast(c) {
				p.worst = pod.Name
				return pod.Name
			}
		}
	}
	return ""
}

func failedLast(c corev1.ContainerStatus) bool {
	t := c.LastTerminationState.Terminated
	return t != nil && t.ExitCode != 0
}
