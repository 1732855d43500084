package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

const (
	lastLines  = 15
	lastEvents = 5
)

// lastWords collects what a pod that does not work said before it fell
// silent: why its containers ended, the end of their logs, and what Kubernetes
// noted about it. It is evidence, so it fails silently.
func (d Deployer) lastWords(ctx context.Context, name string) string {
	if name == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, probeBox)
	defer cancel()
	pod, err := d.Cluster.Client.CoreV1().Pods(d.Cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	var out []string
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		out = append(out, d.containerWords(ctx, pod.Name, c)...)
	}
	text := strings.Join(append(out, d.events(ctx, pod.Name)...), "\n")
	if d.Redact != nil {
		text = d.Redact(text)
	}
	return text
}

func (d Deployer) containerWords(ctx context.Context, pod string, c corev1.ContainerStatus) []string {
	if c.Ready || c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 {
		return nil
	}
	var out []string
	ended := c.State.Terminated
	if ended == nil {
		ended = c.LastTerminationState.Terminated
	}
	if ended != nil {
		out = append(out, fmt.Sprintf("%s/%s ended with status %d (%s)", pod, c.Name, ended.ExitCode, ended.Reason))
		if ended.Message != "" {
			out = append(out, ended.Message)
		}
	}
	if w := c.State.Waiting; w != nil && w.Message != "" {
		out = append(out, fmt.Sprintf("%s/%s waits: %s: %s", pod, c.Name, w.Reason, w.Message))
	}
	previous := c.State.Running == nil && c.State.Terminated == nil && c.LastTerminationState.Terminated != nil
	if log := d.log(ctx, pod, c.Name, previous); log != "" {
		out = append(out, fmt.Sprintf("%s/%s said last:", pod, c.Name), log)
	}
	return out
}

func (d Deployer) log(ctx context.Context, pod, container string, previous bool) string {
	lines, limit := int64(lastLines), int64(16<<10)
	raw, err := d.Cluster.Client.CoreV1().Pods(d.Cluster.Namespace).GetLogs(pod, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: &lines, LimitBytes: &limit,
	}).DoRaw(ctx)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

func (d Deployer) events(ctx context.Context, pod string) []string {
	list, err := d.Cluster.Client.CoreV1().Events(d.Cluster.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.name", pod).String(),
	})
	if err != nil {
		return nil
	}
	items := slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.Type == corev1.EventTypeNormal })
	slices.SortFunc(items, func(a, b corev1.Event) int { return lastTime(a).Compare(lastTime(b)) })
	if len(items) > lastEvents {
		items = items[len(items)-lastEvents:]
	}
	var out []string
	for _, e := range items {
		out = append(out, fmt.Sprintf("%s: %s (%d times)", e.Reason, e.Message, max(1, e.Count)))
	}
	return out
}

func lastTime(e corev1.Event) time.Time {
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}
