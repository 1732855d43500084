package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
)

// ErrOlder says that a release came up before the run that asks.
var ErrOlder = errors.New("the release was there before")

// Deployed reads from Kubernetes how a release that has just come up came up:
// in whole seconds, each moment being when Kubernetes noticed it. Images came
// before, so it is a cold deploy with its images there. A release with pods from
// before since, by the box's clock, did not come up just now: it fails with
// ErrOlder.
func Deployed(ctx context.Context, c *cluster.Cluster, name string, since time.Time) (Row, *Timeline, error) {
	row := NewRow(ColdDeploy, MethodKubelet)
	pods, err := c.Client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: instanceLabel + "=" + name})
	if err != nil {
		return row, nil, c.Explain("look at the pods", err)
	}
	// Kubernetes writes whole seconds.
	if slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.CreationTimestamp.Time.Before(since.Truncate(time.Second)) }) {
		return row, nil, ErrOlder
	}
	t := kubeletTimeline(pods.Items)
	if t == nil {
		return row, nil, fmt.Errorf("no pod of %s is Ready", name)
	}
	row.Add(Sample{Value: t.Seconds, Error: 1})
	return row, t, nil
}

// kubeletTimeline lays out the first pod of each component; nil without any
// that is Ready.
func kubeletTimeline(pods []corev1.Pod) *Timeline {
	pods = slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool {
		known := slices.ContainsFunc(components(), func(c component) bool { return c.name == p.Labels[componentLabel] })
		return !known || readyTime(p).IsZero() || startTime(p).IsZero()
	})
	if len(pods) == 0 {
		return nil
	}
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return readyTime(a).Compare(readyTime(b)) })
	zero := pods[0].CreationTimestamp.Time
	for _, p := range pods {
		if p.CreationTimestamp.Time.Before(zero) {
			zero = p.CreationTimestamp.Time
		}
	}
	since := func(at time.Time) float64 { return at.Sub(zero).Seconds() }
	t := &Timeline{Method: MethodKubelet}
	seen := map[string]bool{}
	for _, p := range pods {
		name := p.Labels[componentLabel]
		if seen[name] {
			continue
		}
		seen[name] = true
		x := podTimes{component: name, started: since(startTime(p)), serves: since(readyTime(p)), ready: since(readyTime(p))}
		for _, i := range p.Status.InitContainerStatuses {
			if e := i.State.Terminated; e != nil {
				x.inits = append(x.inits, Span{Phase: PhaseInit, Name: i.Name, From: since(e.StartedAt.Time), To: since(e.FinishedAt.Time)})
			}
		}
		t.Spans = append(t.Spans, x.spans()...)
		t.Seconds = max(t.Seconds, x.ready)
	}
	t.sort()
	return t
}
