package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
)

const (
	instanceLabel  = "app.kubernetes.io/instance"
	componentLabel = "app.kubernetes.io/component"
	hashLabel      = "controller-revision-hash"
)

// workloads are what the release runs, and the pods that it runs in.
type workloads struct {
	deployments  []appsv1.Deployment
	statefulSets []appsv1.StatefulSet
	pods         []corev1.Pod
}

func readWorkloads(ctx context.Context, c *cluster.Cluster, name string) (workloads, error) {
	o := metav1.ListOptions{LabelSelector: instanceLabel + "=" + name}
	deployments, err := c.Client.AppsV1().Deployments(c.Namespace).List(ctx, o)
	if err != nil {
		return workloads{}, c.Explain("look at the deployments", err)
	}
	sets, err := c.Client.AppsV1().StatefulSets(c.Namespace).List(ctx, o)
	if err != nil {
		return workloads{}, c.Explain("look at the stateful sets", err)
	}
	pods, err := readPods(ctx, c, name)
	return workloads{deployments.Items, sets.Items, pods}, err
}

// readPods leaves out those that are not the workloads': of jobs and of tests.
func readPods(ctx context.Context, c *cluster.Cluster, name string) ([]corev1.Pod, error) {
	pods, err := c.Client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: instanceLabel + "=" + name})
	if err != nil {
		return nil, c.Explain("look at the pods", err)
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return !slices.ContainsFunc(p.OwnerReferences, func(o metav1.OwnerReference) bool {
			return o.Kind == "ReplicaSet" || o.Kind == "StatefulSet"
		})
	}), nil
}

// unfinished names the workloads whose rollout is not complete.
func (w workloads) unfinished() []string {
	var out []string
	for _, d := range w.deployments {
		want := replicas(d.Spec.Replicas)
		s := d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas < want || s.AvailableReplicas < want || s.Replicas > s.UpdatedReplicas {
			out = append(out, fmt.Sprintf("%s %d/%d", d.Name, min(s.UpdatedReplicas, s.AvailableReplicas), want))
		}
	}
	for _, s := range w.statefulSets {
		want := replicas(s.Spec.Replicas)
		done := s.Status.UpdatedReplicas
		if s.Status.UpdateRevision == s.Status.CurrentRevision {
			done = s.Status.Replicas
		}
		if s.Status.ObservedGeneration < s.Generation || done < want || s.Status.ReadyReplicas < want {
			out = append(out, fmt.Sprintf("%s %d/%d", s.Name, min(done, s.Status.ReadyReplicas), want))
		}
	}
	slices.Sort(out)
	return out
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// stuck are pods of stateful sets that cannot work and whose successor waits
// for them to be Ready: Kubernetes keeps them for ever, also when a release is
// put back. Only what never came up is among them.
func (w workloads) stuck() []corev1.Pod {
	update := map[string]string{}
	for _, s := range w.statefulSets {
		update[s.Name] = s.Status.UpdateRevision
	}
	var out []corev1.Pod
	for _, p := range w.pods {
		for _, o := range p.OwnerReferences {
			current := update[o.Name]
			if o.Kind == "StatefulSet" && current != "" && p.Labels[hashLabel] != current && p.DeletionTimestamp == nil && hopeless(p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// hopeless reports whether a pod will not get further by itself.
func hopeless(p corev1.Pod) bool {
	if p.Status.Phase == corev1.PodPending && unschedulable(p) != "" {
		return true
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c.State.Waiting != nil && slices.Contains(badWaits(), c.State.Waiting.Reason) {
			return true
		}
	}
	return false
}

// badWaits are the reasons for which a container waits and that do not pass.
func badWaits() []string {
	return []string{
		"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName",
		"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
	}
}

// rank says how far a pod has come; it only grows as long as nothing breaks.
func rank(p corev1.Pod) int {
	if unschedulable(p) != "" || p.Spec.NodeName == "" {
		return 0
	}
	n := 1
	for _, c := range p.Status.InitContainerStatuses {
		switch {
		case c.State.Terminated != nil && c.State.Terminated.ExitCode == 0:
			n += 2
		case c.State.Running != nil:
			n++
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running != nil {
			n++
		}
		if c.Started != nil && *c.Started {
			n++
		}
		if c.Ready {
			n++
		}
	}
	return n
}

func unschedulable(p corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return c.Message
		}
	}
	return ""
}

func isReady(p corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func claims(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil })
}

// waitsFor says in a few words what a pod waits for; "" when it is Ready.
func waitsFor(p corev1.Pod) string {
	switch {
	case p.DeletionTimestamp != nil:
		return "is stopping"
	case isReady(p):
		return ""
	case unschedulable(p) != "":
		return "finds no room: " + unschedulable(p)
	case p.Spec.NodeName == "" && claims(p):
		// The node is given only when the volume is there, which is made when the
		// first pod asks for it.
		return "waits for its volume"
	case p.Spec.NodeName == "":
		return "waits for a node"
	}
	for _, c := range p.Status.InitContainerStatuses {
		if c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 {
			continue
		}
		return containerWaits(c, "init container "+c.Name)
	}
	for _, c := range p.Status.ContainerStatuses {
		if !c.Ready {
			return containerWaits(c, c.Name)
		}
	}
	return "waits for its containers"
}

func containerWaits(c corev1.ContainerStatus, name string) string {
	switch {
	case c.State.Running != nil && strings.HasPrefix(name, "init"):
		return name + " is waiting"
	case c.State.Running != nil && c.Started != nil && !*c.Started:
		return name + " has not started up"
	case c.State.Running != nil:
		return name + " is not ready"
	case c.State.Terminated != nil:
		return fmt.Sprintf("%s ended (%s, status %d)", name, c.State.Terminated.Reason, c.State.Terminated.ExitCode)
	case c.State.Waiting == nil:
		return name + " waits"
	case strings.Contains(c.State.Waiting.Reason, "Image") || c.State.Waiting.Reason == "ErrImagePull":
		return fmt.Sprintf("%s has no image %s (%s)", name, c.Image, c.State.Waiting.Reason)
	case c.State.Waiting.Reason == "CrashLoopBackOff":
		return name + " crashes again and again"
	case c.State.Waiting.Reason == "ContainerCreating" || c.State.Waiting.Reason == "PodInitializing":
		return "is being made"
	}
	text := name + ": " + c.State.Waiting.Reason
	if c.State.Waiting.Message != "" {
		text += " (" + c.State.Waiting.Message + ")"
	}
	return text
}
