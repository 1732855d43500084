package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/chart"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// toy is a box with a cluster: workloads get pods, pods boot for as long as the
// test says, a deleted pod is replaced, and the observer sees it all. Time is
// the test's own.
type toy struct {
	t      *testing.T
	client *fake.Clientset
	start  time.Time

	mu sync.Mutex
	// takes is how long a component's boot takes: the first, and later ones.
	first, later map[string]time.Duration
	// ails says what is wrong with a component: image, silent or crash.
	ails   map[string]string
	coming []Sighting
	pods   int
	// sees is told of every sighting as it is handed out, and may end it all.
	sees   func(Sighting) error
	offset float64
	// watched counts the observers that run.
	watched int
	// marked is the note on the box that a scratch namespace is there.
	marked bool
	// unreachable, if set, is what observers say when they are to be stopped.
	unreachable error
}

const releaseNamespace = "studentsystemgo"

func newToy(t *testing.T) *toy {
	y := &toy{
		t: t, start: time.Now(), ails: map[string]string{},
		first: map[string]time.Duration{}, later: map[string]time.Duration{},
	}
	for i, c := range components() {
		y.first[c.name] = time.Duration(20+10*i) * time.Second
		y.later[c.name] = time.Duration(5+i) * time.Second
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "oldpc"}}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceMemory: resource.MustParse("3Gi"), corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourcePods: resource.MustParse("40"),
	}
	objects := []runtime.Object{node, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: releaseNamespace}}}
	for i, c := range components() {
		objects = append(objects, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%d", c.name, i), Namespace: releaseNamespace, UID: types.UID("real-" + c.name),
			Labels: map[string]string{instanceLabel: "ssg", componentLabel: c.name},
		}})
	}
	y.client = fake.NewClientset(objects...)
	y.react()
	return y
}

func (y *toy) react() {
	y.client.PrependReactor("create", "*", func(a ktesting.Action) (bool, runtime.Object, error) {
		switch x := a.(ktesting.CreateAction).GetObject().(type) {
		case *appsv1.StatefulSet:
			y.makePod(a.GetNamespace(), x.Name+"-0", x.Spec.Template, true)
		case *appsv1.Deployment:
			y.makePod(a.GetNamespace(), x.Name+"-abc12", x.Spec.Template, true)
		}
		return false, nil, nil
	})
	y.client.PrependReactor("delete", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
		name := a.(ktesting.DeleteAction).GetName()
		old, err := y.client.Tracker().Get(a.GetResource(), a.GetNamespace(), name)
		if err != nil {
			return true, nil, err
		}
		p := old.(*corev1.Pod)
		_ = y.client.Tracker().Delete(a.GetResource(), a.GetNamespace(), name)
		y.makePod(a.GetNamespace(), name, corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec}, false)
		return true, nil, nil
	})
	y.client.PrependReactor("delete-collection", "*", func(a ktesting.Action) (bool, runtime.Object, error) {
		y.deleteAll(a.GetResource(), a.GetNamespace(), a.(ktesting.DeleteCollectionAction).GetListRestrictions().Labels)
		return true, nil, nil
	})
	y.client.PrependReactor("delete", "namespaces", func(a ktesting.Action) (bool, runtime.Object, error) {
		for _, r := range []string{"pods", "persistentvolumeclaims", "secrets", "services", "configmaps"} {
			y.deleteAll(corev1.SchemeGroupVersion.WithResource(r), a.(ktesting.DeleteAction).GetName(), labels.Everything())
		}
		for _, r := range []string{"statefulsets", "deployments"} {
			y.deleteAll(appsv1.SchemeGroupVersion.WithResource(r), a.(ktesting.DeleteAction).GetName(), labels.Everything())
		}
		return false, nil, nil
	})
}

func (y *toy) deleteAll(of schema.GroupVersionResource, namespace string, which labels.Selector) {
	kinds := map[string]string{
		"pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim", "statefulsets": "StatefulSet", "deployments": "Deployment",
		"secrets": "Secret", "services": "Service", "configmaps": "ConfigMap",
	}
	list, err := y.client.Tracker().List(of, of.GroupVersion().WithKind(kinds[of.Resource]), namespace)
	if err != nil {
		y.t.Errorf("list %s: %v", of.Resource, err)
		return
	}
	items := reflectItems(list)
	for _, o := range items {
		if which.Matches(labels.Set(o.GetLabels())) {
			if err := y.client.Tracker().Delete(of, namespace, o.GetName()); err != nil && !apierrors.IsNotFound(err) {
				y.t.Errorf("delete %s: %v", o.GetName(), err)
			}
		}
	}
}

func reflectItems(list runtime.Object) []metav1.Object {
	var out []metav1.Object
	switch l := list.(type) {
	case *corev1.PodList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *corev1.PersistentVolumeClaimList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *appsv1.StatefulSetList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *appsv1.DeploymentList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *corev1.SecretList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *corev1.ServiceList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *corev1.ConfigMapList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	}
	return out
}

func (y *toy) now() float64 { return time.Since(y.start).Seconds() + 1000 }

// makePod starts a pod: what the observer will see of it is laid down.
func (y *toy) makePod(namespace, name string, of corev1.PodTemplateSpec, fresh bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	component := of.Labels[componentLabel]
	i := slices.IndexFunc(components(), func(c component_) bool { return c.name == component })
	if i < 0 {
		y.t.Errorf("a pod of %q", component)
		return
	}
	c := components()[i]
	y.pods++
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: namespace, Labels: of.Labels, UID: types.UID(fmt.Sprint("uid-", y.pods)), CreationTimestamp: metav1.Now(),
	}, Spec: of.Spec}
	if c.stateful && fresh {
		_ = y.client.Tracker().Add(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-" + name, Namespace: namespace, Labels: of.Labels}})
	}
	takes := y.later[component]
	if fresh {
		takes = y.first[component]
	}
	y.boots(p, c, takes)
	if err := y.client.Tracker().Add(p); err != nil {
		y.t.Errorf("make %s: %v", name, err)
	}
}

// component_ is component, where a variable of that name hides the type.
type component_ = component

const beforeStart = 2 * time.Second

func (y *toy) boots(p *corev1.Pod, c component, takes time.Duration) {
	id := fmt.Sprintf("%s-%d", c.name, y.pods)
	at := y.now() + beforeStart.Seconds()
	see := func(what string, at float64, rule string) {
		s := Sighting{What: what, At: at, Wall: at + 1_700_000_000 + y.offset, ID: id, Pod: p.Name, Container: c.rule.Container, Rule: rule, Error: 0.1}
		s.Jiffies, s.Load = at*200, 0.5
		y.coming = append(y.coming, s)
	}
	status := corev1.ContainerStatus{Name: c.rule.Container, Image: "image-of-" + c.name}
	switch y.ails[c.name] {
	case "image":
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not here"}
	case "silent":
		see(sawStarted, at, "")
	case "crash":
		for i := range crashLimit {
			see(sawStarted, at+float64(10*i), "")
			see(sawEnded, at+float64(10*i+5), "")
		}
	default:
		see(sawStarted, at, "")
		see(sawServes, at+takes.Seconds(), c.rule.Name)
		if y.ails[c.name] == "relapse" {
			see(sawEnded, at+takes.Seconds()+1, "")
			see(sawStarted, at+takes.Seconds()+2, "")
			see(sawServes, at+takes.Seconds()+2.5, c.rule.Name)
		}
		if c.inStep != "" {
			see(sawServes, at+takes.Seconds()+7, inStepRule)
		}
		started := time.Now().Add(beforeStart).Truncate(time.Second)
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(started.Add(takes.Truncate(10*time.Second) + 10*time.Second)),
		}}
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{status}
}

// watch is the toy's observer.
type watch struct {
	y         *toy
	namespace string
	told      bool
}

func (y *toy) Watch(_ context.Context, namespace string, _ []Rule) (Watch, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.watched++
	y.coming = nil
	return &watch{y: y, namespace: namespace}, nil
}

func (w *watch) Next(ctx context.Context) ([]Sighting, error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	w.y.mu.Lock()
	defer w.y.mu.Unlock()
	var out, rest []Sighting
	for _, s := range w.y.coming {
		if s.At <= w.y.now() {
			out = append(out, s)
		} else {
			rest = append(rest, s)
		}
	}
	w.y.coming = rest
	for _, s := range out {
		if w.y.sees != nil {
			if err := w.y.sees(s); err != nil {
				return nil, err
			}
		}
	}
	return out, ctx.Err()
}

func (w *watch) Uptime(context.Context) (float64, error) { return w.y.now(), nil }

func (w *watch) Stop(context.Context) error {
	w.y.mu.Lock()
	defer w.y.mu.Unlock()
	if w.y.unreachable != nil {
		return w.y.unreachable
	}
	w.y.watched--
	return nil
}

// mark notes that the namespace is there before it is, and takes the note away
// after it has gone.
func (y *toy) mark(_ context.Context, there bool) error {
	_, err := y.client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("namespaces"), "", Namespace)
	if err == nil {
		y.t.Errorf("marked as %t while the scratch namespace is there", there)
	}
	y.marked = there
	return nil
}

// bencher measures the reference's release on the toy.
func (y *toy) bencher(o Options) *Bencher {
	y.t.Helper()
	p, err := profiles.Load("core2duo-4gb")
	if err != nil {
		y.t.Fatal(err)
	}
	return &Bencher{
		Cluster: &cluster.Cluster{Name: "toy", Client: y.client, Namespace: releaseNamespace},
		Want: release.Want{
			Name: "ssg", Namespace: releaseNamespace, Chart: chart.FS(),
			Layers: []release.Layer{{Source: "profile", Values: p.Chart.Values}},
			Waits:  release.Waits{Stall: 5 * time.Minute},
		},
		Holder: "test", Options: o, Note: func(string) {}, Now: time.Now, Watch: y.Watch, Mark: y.mark,
	}
}

// untouched fails the test unless the release is what it was and nothing of
// the scratch namespace is left.
func (y *toy) untouched() {
	y.t.Helper()
	for _, a := range y.client.Actions() {
		if a.GetNamespace() == releaseNamespace && slices.Contains([]string{"delete", "create", "update", "patch", "delete-collection"}, a.GetVerb()) {
			y.t.Errorf("the release was touched: %s %s", a.GetVerb(), a.GetResource().Resource)
		}
	}
	y.clean()
	ctx := context.Background()
	pods, err := y.client.CoreV1().Pods(releaseNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		y.t.Fatal(err)
	}
	for _, p := range pods.Items {
		if !strings.HasPrefix(string(p.UID), "real-") {
			y.t.Errorf("%s is another one", p.Name)
		}
	}
	if len(pods.Items) != len(components()) {
		y.t.Errorf("the release has %d pods", len(pods.Items))
	}
}

func (y *toy) clean() {
	y.t.Helper()
	ctx := context.Background()
	if _, err := y.client.CoreV1().Namespaces().Get(ctx, Namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		y.t.Errorf("the scratch namespace is there: %v", err)
	}
	pods, err := y.client.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		y.t.Errorf("%d scratch pods are left (%v)", len(pods.Items), err)
	}
	claims, err := y.client.CoreV1().PersistentVolumeClaims(Namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(claims.Items) > 0 {
		y.t.Errorf("%d scratch volumes are left (%v)", len(claims.Items), err)
	}
	if y.marked {
		y.t.Error("the box is still marked")
	}
	if y.watched != 0 {
		y.t.Errorf("%d observers are left", y.watched)
	}
}

func deploymentOf(name string, labels map[string]string, n int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: releaseNamespace, Labels: labels}, Spec: appsv1.DeploymentSpec{Replicas: &n}}
}

func replicasOf(t *testing.T, y *toy) int32 {
	t.Helper()
	d, err := y.client.AppsV1().Deployments(releaseNamespace).Get(t.Context(), "ssg-studentsystemgo", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return *d.Spec.Replicas
}
