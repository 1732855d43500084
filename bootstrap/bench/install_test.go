package bench

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
)

// readyPod is a pod of which Kubernetes saw these moments, in seconds.
func readyPod(component string, made, started, ready int, inits ...[2]int) corev1.Pod {
	at := func(s int) metav1.Time { return metav1.NewTime(time.Unix(int64(1_700_000_000+s), 0)) }
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: component, Labels: map[string]string{componentLabel: component}, CreationTimestamp: at(made)}}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at(ready)}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(started)}}}}
	for _, i := range inits {
		p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, corev1.ContainerStatus{
			Name: "wait", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(i[0]), FinishedAt: at(i[1])}},
		})
	}
	return p
}

func TestTheFirstDeploymentIsReadFromThePods(t *testing.T) {
	pods := []corev1.Pod{
		readyPod("app", 1, 90, 95, [2]int{10, 60}, [2]int{61, 85}),
		readyPod("redis", 0, 8, 12),
		readyPod("app", 80, 100, 140), // the autoscaler's second one
		{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: map[string]string{componentLabel: "test"}}},
	}
	got := kubeletTimeline(pods)
	if got == nil || got.Seconds != 95 || got.Method != MethodKubelet {
		t.Fatalf("%+v", got)
	}
	want := []Span{
		{"redis", PhaseImage, "", 0, 8}, {"redis", PhaseStart, "", 8, 12},
		{"app", PhaseImage, "", 0, 10}, {"app", PhaseInit, "wait", 10, 60}, {"app", PhaseInit, "wait", 61, 85}, {"app", PhaseStart, "", 90, 95},
	}
	if len(got.Spans) != len(want) {
		t.Fatalf("%+v", got.Spans)
	}
	for i := range want {
		if got.Spans[i] != want[i] {
			t.Errorf("span %d: %+v, want %+v", i, got.Spans[i], want[i])
		}
	}
	if kubeletTimeline(nil) != nil {
		t.Error("a timeline of nothing")
	}
}

// TestAReleaseThatWasThereIsNoFirstDeployment is about a box whose API did not
// answer when the run began: the plan could not know that there is a release.
func TestAReleaseThatWasThereIsNoFirstDeployment(t *testing.T) {
	old, fresh := readyPod("redis", 0, 8, 12), readyPod("app", 3600, 3690, 3695)
	for _, p := range []*corev1.Pod{&old, &fresh} {
		p.Namespace, p.Labels[instanceLabel] = releaseNamespace, "ssg"
	}
	c := &cluster.Cluster{Name: "toy", Client: fake.NewClientset(&old, &fresh), Namespace: releaseNamespace}
	begin := old.CreationTimestamp.Time
	if _, _, err := Deployed(t.Context(), c, "ssg", begin.Add(time.Hour)); !errors.Is(err, ErrOlder) {
		t.Errorf("a pod of an hour ago: %v", err)
	}
	row, timeline, err := Deployed(t.Context(), c, "ssg", begin.Add(900*time.Millisecond))
	if err != nil || timeline == nil || row.Median != 3695 || row.Method != MethodKubelet {
		t.Errorf("pods of this run: %v, %+v", err, row)
	}
}
