package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
)

// stopwatch times boots in one namespace, by what the observer sees there.
type stopwatch struct {
	watch   Watch
	cluster *cluster.Cluster
	objects objects
	redact  func(string) string
	// stall ends the wait for a component that does not come up.
	stall time.Duration
	// kubernetes is told what the API says of a pod only so often: each answer
	// costs the box more than the observer does.
	kubernetes time.Duration
	clock      clock
}

const (
	askKubernetes = 5 * time.Second
	// crashLimit is how often a container may end before it is given up.
	crashLimit = 3
)

// bootError is a component that did not come up; the other rows go on.
type bootError struct{ text, evidence string }

func (e *bootError) Error() string { return e.text }

// lap is one boot as it was seen.
type lap struct {
	// since is the box's uptime before anything was begun: a container that
	// fell over after it was timed, and was started again, is no new boot.
	since   float64
	id      string
	started Sighting
	serves  Sighting
	inStep  *Sighting
	crashes int
}

// boot lets a component start and times it. begin makes it start; what was
// seen before it returns belongs to no boot.
func (s *stopwatch) boot(ctx context.Context, c component, wantInStep bool, begin func(context.Context) error) (lap, error) {
	since, err := s.watch.Uptime(ctx)
	if err != nil {
		return lap{}, err
	}
	if err := begin(ctx); err != nil {
		return lap{}, err
	}
	l := lap{since: since}
	moved, asked := time.Now(), time.Now()
	for {
		seen, err := s.watch.Next(ctx)
		if err != nil {
			return l, err
		}
		s.clock.add(seen)
		for _, x := range seen {
			if l.take(c, x) {
				moved = time.Now()
			}
		}
		switch {
		case l.serves.What != "" && (!wantInStep || l.inStep != nil):
			return l, nil
		case l.crashes >= crashLimit:
			return l, s.failed(ctx, c, fmt.Sprintf("%s ended %d times and never served", c.name, l.crashes))
		case time.Since(moved) > s.stall:
			return l, s.failed(ctx, c, fmt.Sprintf("%s did not serve within %s", c.name, s.stall))
		case time.Since(asked) > s.kubernetes:
			if why := s.trouble(ctx, c); why != "" {
				return l, s.failed(ctx, c, why)
			}
			asked = time.Now()
		}
	}
}

// take notes a moment if it belongs to the boot.
func (l *lap) take(c component, x Sighting) bool {
	if x.At < l.since || x.Container != c.rule.Container || !strings.Contains(x.Pod, c.rule.Pod) {
		return false
	}
	switch {
	case x.What == sawStarted && l.serves.What == "":
		// The first start counts: a crash on the way is part of the boot.
		if l.id = x.ID; l.started.What == "" {
			l.started = x
		}
	case x.What == sawServes && x.ID == l.id && x.Rule == c.rule.Name && l.serves.What == "":
		l.serves = x
	case x.What == sawServes && x.ID == l.id && x.Rule == inStepRule:
		l.inStep = &x
	case x.What == sawEnded && x.ID == l.id && l.id != "" && l.serves.What == "":
		l.crashes++
	default:
		return false
	}
	return true
}

// sample makes a figure of a boot.
func (l lap) sample(end Sighting) Sample {
	return Sample{
		Value: round(end.At - l.started.At), Error: round(l.started.Error + end.Error),
		Crashes: l.crashes, Noise: between(l.started.counters, end.counters),
	}
}

// round keeps milliseconds: the moments are not known any better.
func round(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }

// trouble asks Kubernetes whether the component has reasons not to come up. An
// API that does not answer is busy; the stall is for one that stays so.
func (s *stopwatch) trouble(ctx context.Context, c component) string {
	pods, err := s.cluster.Client.CoreV1().Pods(s.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: componentLabel + "=" + c.name})
	if err != nil {
		return ""
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil {
			continue
		}
		if why := hopeless(p); why != "" {
			return c.name + " " + why
		}
	}
	return ""
}

// hopeless says why a pod will not come up by itself; "" if it may.
func hopeless(p corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable &&
			!strings.Contains(c.Message, "unbound immediate PersistentVolumeClaims") {
			return "finds no room: " + c.Message
		}
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := c.State.Waiting
		if w == nil {
			continue
		}
		switch w.Reason {
		case "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName":
			return "has no image: the box lacks " + c.Image
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return "cannot be started: " + w.Message
		}
	}
	return ""
}

// failed collects what the component said last.
func (s *stopwatch) failed(ctx context.Context, c component, text string) error {
	pods, err := s.cluster.Client.CoreV1().Pods(s.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: componentLabel + "=" + c.name})
	if err != nil || len(pods.Items) == 0 {
		return &bootError{text: text}
	}
	newest := slices.MaxFunc(pods.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	words := release.Deployer{Cluster: s.cluster, Redact: s.redact}.LastWords(ctx, newest.Name)
	return &bootError{text: text, evidence: words}
}

// believes adds what Kubernetes thinks of the boot, once it knows: start to
// Ready in whole seconds. It is a cross-check, so its absence is no error.
func (s *stopwatch) believes(ctx context.Context, c component, sample *Sample) {
	sample.Probe = s.objects.probePeriod(c.name)
	limit, cancel := context.WithTimeout(ctx, time.Duration(2*sample.Probe+30)*time.Second)
	defer cancel()
	for {
		if took, ok := s.readyAfter(limit, c); ok {
			if s.clock.jumped() == 0 {
				sample.Kubelet = &took
			}
			return
		}
		select {
		case <-limit.Done():
			return
		case <-time.After(s.kubernetes / 2):
		}
	}
}

func (s *stopwatch) readyAfter(ctx context.Context, c component) (float64, bool) {
	pods, err := s.cluster.Client.CoreV1().Pods(s.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: componentLabel + "=" + c.name})
	if err != nil {
		return 0, false
	}
	for _, p := range pods.Items {
		ready, started := readyTime(p), startTime(p)
		if p.DeletionTimestamp == nil && !ready.IsZero() && !started.IsZero() {
			return ready.Sub(started).Seconds(), true
		}
	}
	return 0, false
}

// readyTime is when Kubernetes found the pod Ready; zero if it is not.
func readyTime(p corev1.Pod) time.Time {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

func startTime(p corev1.Pod) time.Time {
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running != nil {
			return c.State.Running.StartedAt.Time
		}
	}
	return time.Time{}
}

// clock compares the box's two clocks: the one that counts from the boot, and
// the one that says what time it is and that somebody may set.
type clock struct{ first, last float64 }

func (c *clock) add(seen []Sighting) {
	for _, s := range seen {
		c.last = s.Wall - s.At
		if s.What == sawReady || c.first == 0 {
			// Printed a moment after it was seen, so only the ends are compared.
			c.first = c.last
		}
	}
}

// jumped is by how many seconds the time of day was moved; below a second it
// is the drift that a time service corrects, and 0.
func (c *clock) jumped() float64 {
	if d := c.last - c.first; d > 1 || d < -1 {
		return d
	}
	return 0
}

// isBoot reports whether an error is about one component alone.
func isBoot(err error) (*bootError, bool) {
	var b *bootError
	return b, errors.As(err, &b)
}

// lost is the error for a box that is no longer the one that was measured.
func lost(err error) error {
	if !errors.Is(err, ErrRebooted) {
		return err
	}
	return &fault.Error{Code: fault.BenchInterrupted, Op: "measure", Err: err}
}

func isLinkLost(err error) bool {
	code := fault.CodeOf(err)
	return code == fault.LinkLost || code == fault.LinkStalled || code == fault.Unreachable
}
