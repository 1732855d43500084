package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

const hash = "hash-1"

func podOf(owner, kind, name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "ns", UID: "one", Labels: map[string]string{instanceLabel: "ssg", componentLabel: owner, hashLabel: hash},
			OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: owner}},
		},
		Spec:   corev1.PodSpec{NodeName: "oldpc"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", Image: "x:1"}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func ready(p *corev1.Pod) {
	started := true
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	p.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "main", Ready: true, Started: &started, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	}
}

func TestWhatAPodWaitsForIsSaid(t *testing.T) {
	started := false
	for want, change := range map[string]func(*corev1.Pod){
		"": ready,
		"finds no room: 0/1 nodes are available": func(p *corev1.Pod) {
			p.Spec.NodeName = ""
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available"}}
		},
		"waits for a node": func(p *corev1.Pod) { p.Spec.NodeName = "" },
		"waits for its volume": func(p *corev1.Pod) {
			p.Spec.NodeName = ""
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
		},
		"is stopping":                          func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} },
		"main has no image x:1 (ErrImagePull)": waiting("ErrImagePull", "not found"),
		"main crashes again and again":         waiting("CrashLoopBackOff", "back-off"),
		"is being made":                        waiting("ContainerCreating", ""),
		`main: CreateContainerConfigError (secret "x" not found)`: waiting("CreateContainerConfigError", `secret "x" not found`),
		"main has not started up": func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].Started = &started
			p.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{}
		},
		"main is not ready": func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{}
		},
		"main ended (Error, status 1)": func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Terminated = &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1}
		},
		"init container wait-for-redis is waiting": func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{
				{Name: "wait-for-mysql", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
				{Name: "wait-for-redis", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			}
		},
	} {
		if got := waitsFor(*podOf("app", "ReplicaSet", "app-1", change)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func deployment(generation, observed int64, updated, available, all int32) appsv1.Deployment {
	return appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Generation: generation},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: observed, UpdatedReplicas: updated, AvailableReplicas: available, Replicas: all},
	}
}

func TestARolloutIsDoneWhenOnlyNewPodsServe(t *testing.T) {
	for name, c := range map[string]struct {
		w    workloads
		done bool
	}{
		"done":                  {workloads{deployments: []appsv1.Deployment{deployment(2, 2, 1, 1, 1)}}, true},
		"not seen yet":          {workloads{deployments: []appsv1.Deployment{deployment(3, 2, 1, 1, 1)}}, false},
		"old pod not gone":      {workloads{deployments: []appsv1.Deployment{deployment(2, 2, 1, 1, 2)}}, false},
		"new pod not available": {workloads{deployments: []appsv1.Deployment{deployment(2, 2, 1, 0, 1)}}, false},
		"set not updated": {workloads{statefulSets: []appsv1.StatefulSet{{
			ObjectMeta: metav1.ObjectMeta{Name: "redis"},
			Status:     appsv1.StatefulSetStatus{ReadyReplicas: 1, Replicas: 1, CurrentRevision: "a", UpdateRevision: "b"},
		}}}, false},
		"set done": {workloads{statefulSets: []appsv1.StatefulSet{{
			ObjectMeta: metav1.ObjectMeta{Name: "redis"},
			Status:     appsv1.StatefulSetStatus{ReadyReplicas: 1, Replicas: 1, CurrentRevision: "b", UpdateRevision: "b"},
		}}}, true},
	} {
		if got := len(c.w.unfinished()) == 0; got != c.done {
			t.Errorf("%s: done is %v: %v", name, got, c.w.unfinished())
		}
	}
}

// TestACrashLoopIsNoProgress holds that a pod which starts, fails and starts
// again does not keep the wait alive.
func TestACrashLoopIsNoProgress(t *testing.T) {
	p := newProgress(func(string) {})
	see := func(change func(*corev1.Pod)) string {
		return p.see(workloads{deployments: []appsv1.Deployment{deployment(1, 1, 0, 0, 1)}, pods: []corev1.Pod{*podOf("app", "ReplicaSet", "app-1", change)}}).Seen
	}
	running := func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{}
	}
	see(waiting("ContainerCreating", ""))
	first := see(running)
	for range 3 {
		if see(waiting("CrashLoopBackOff", "")) != first || see(running) != first {
			t.Fatal("a crash counted as progress")
		}
	}
	if see(ready) == first {
		t.Error("a pod that is Ready is no progress")
	}
}

func TestOnlyAPodThatNeverCameUpMakesWay(t *testing.T) {
	set := appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "redis"}, Status: appsv1.StatefulSetStatus{UpdateRevision: "hash-2"}}
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		stuck  bool
	}{
		"a crash loop of the old revision": {waiting("CrashLoopBackOff", ""), true},
		"no image for the old revision":    {waiting("ImagePullBackOff", ""), true},
		"still starting":                   {waiting("ContainerCreating", ""), false},
		"serving":                          {ready, false},
		"of the new revision": {func(p *corev1.Pod) {
			p.Labels[hashLabel] = "hash-2"
			waiting("CrashLoopBackOff", "")(p)
		}, false},
	} {
		w := workloads{statefulSets: []appsv1.StatefulSet{set}, pods: []corev1.Pod{*podOf("redis", "StatefulSet", "redis-0", c.change)}}
		if got := len(w.stuck()) == 1; got != c.stuck {
			t.Errorf("%s: stuck is %v", name, got)
		}
	}
}

func deployerFor(t *testing.T, notes *[]string, objects ...runtime.Object) Deployer {
	t.Helper()
	return Deployer{
		Cluster: &cluster.Cluster{Name: "test", Client: fake.NewClientset(objects...), Namespace: "ns"},
		Want:    Want{Name: "ssg", Namespace: "ns", Waits: Waits{Stall: time.Minute}},
		Note:    func(text string) { *notes = append(*notes, text) },
		Now:     time.Now,
		Redact:  func(text string) string { return strings.ReplaceAll(text, canary, "[secret]") },
	}
}

func labelled(d appsv1.Deployment) *appsv1.Deployment {
	d.Namespace, d.Labels = "ns", map[string]string{instanceLabel: "ssg"}
	return &d
}

func TestAStallEndsWithThePodsLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := podOf("app", "ReplicaSet", "app-1", func(p *corev1.Pod) {
			waiting("CrashLoopBackOff", "back-off 10s")(p)
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: 2, Reason: "Error", Message: "cannot open " + canary,
			}
		})
		event := &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "ns"}, InvolvedObject: corev1.ObjectReference{Name: "app-1"},
			Type: corev1.EventTypeWarning, Reason: "BackOff", Message: "restarting failed container", Count: 7,
		}
		var notes []string
		d := deployerFor(t, &notes, labelled(deployment(1, 1, 0, 0, 1)), pod, event)
		err := d.ready(t.Context())
		if fault.CodeOf(err) != fault.WaitStalled {
			t.Fatalf("got %v", err)
		}
		evidence := fault.EvidenceOf(err)
		for _, part := range []string{"app-1 main crashes again and again", "app-1/main ended with status 2 (Error)", "cannot open [secret]", "BackOff: restarting failed container (7 times)", "app-1/main said last:"} {
			if !strings.Contains(evidence, part) {
				t.Errorf("%q is not in:\n%s", part, evidence)
			}
		}
		if strings.Contains(evidence, canary) {
			t.Error("a secret is in the evidence")
		}
		if !strings.Contains(fault.NextOf(err), "describe pod app-1") {
			t.Errorf("next: %s", fault.NextOf(err))
		}
		if len(notes) != 1 {
			t.Errorf("the same was said %d times: %v", len(notes), notes)
		}
	})
}

func TestACrashLoopEndsTheWaitBeforeTheStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := podOf("app", "ReplicaSet", "app-1", waiting("CrashLoopBackOff", ""))
		var notes []string
		d := deployerFor(t, &notes, labelled(deployment(1, 1, 0, 0, 1)), pod)
		d.Want.Waits.Stall = time.Hour
		go func() {
			for n := int32(1); n <= crashes; n++ {
				time.Sleep(time.Minute)
				pod.Status.ContainerStatuses[0].RestartCount = n
				pod.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1}
				if _, err := d.Cluster.Client.CoreV1().Pods("ns").Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
					panic(err)
				}
			}
		}()
		began := time.Now()
		err := d.ready(t.Context())
		if fault.CodeOf(err) != fault.ReleaseFailed || !strings.Contains(err.Error(), fmt.Sprintf("app-1 crashed %d times in a row", crashes)) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAStuckPodIsRemovedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: "redis", Namespace: "ns", Labels: map[string]string{instanceLabel: "ssg"}},
			Status:     appsv1.StatefulSetStatus{UpdateRevision: "hash-2", CurrentRevision: hash},
		}
		var notes []string
		d := deployerFor(t, &notes, set, podOf("redis", "StatefulSet", "redis-0", waiting("ImagePullBackOff", "")))
		_ = d.ready(t.Context())
		left, err := d.Cluster.Client.CoreV1().Pods("ns").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(left.Items) != 0 {
			t.Errorf("%v, left: %v", err, left.Items)
		}
		if !slices.Contains(notes, "redis-0 cannot come up and makes way for its successor") {
			t.Errorf("notes: %v", notes)
		}
	})
}
