package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

// Namespace is where boots are measured. Nothing else is ever in it.
const Namespace = "ssg-bench"

const (
	instanceLabel  = "app.kubernetes.io/instance"
	componentLabel = "app.kubernetes.io/component"
	// scratchLabel marks the namespace as ours to remove: one of the same name
	// without it is somebody else's.
	scratchLabel = "ssg-bootstrap/scratch"
	scratchValue = "bench"
	// holderAnnotation says whose run it was.
	holderAnnotation = "ssg-bootstrap/holder"
	// stoppedAnnotation says what of the release was stopped to make room and
	// how many pods each had, so that whoever cleans up can start it again.
	stoppedAnnotation = "ssg-bootstrap/stopped"
)

// quickly is the grace of a scratch pod whose data nobody wants.
const quickly = int64(1)

// scratch is the namespace with a copy of the release.
type scratch struct {
	cluster *cluster.Cluster
	objects objects
	holder  string
	book    secrets.Book
	want    release.Want
	note    func(string)
	// stall ends a wait in which nothing moves.
	stall time.Duration
}

// in is the same cluster, seen from another namespace.
func in(c *cluster.Cluster, namespace string) *cluster.Cluster {
	other := *c
	other.Namespace = namespace
	return &other
}

// newScratch renders the release for the namespace, with secrets of its own.
func newScratch(c *cluster.Cluster, w release.Want, tag, holder string, now time.Time, note func(string)) (*scratch, error) {
	w.Namespace = Namespace
	w.Layers = append(append([]release.Layer{}, w.Layers...), alone())
	set, err := secrets.Set{}.Complete(Namespace, now)
	if err != nil {
		return nil, fmt.Errorf("make scratch secrets: %w", err)
	}
	book := secrets.Book{Secrets: set, Salt: secrets.NewPassword()}
	o, err := render(w, book, tag)
	if err != nil {
		return nil, err
	}
	return &scratch{cluster: in(c, Namespace), objects: o, holder: holder, book: book, want: w, note: note, stall: w.Waits.Stall}, nil
}

// open makes the namespace and everything in it that runs nothing.
func (s *scratch) open(ctx context.Context) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:        Namespace,
		Labels:      map[string]string{cluster.ManagedByLabel: cluster.ManagedBy, scratchLabel: scratchValue},
		Annotations: map[string]string{holderAnnotation: s.holder},
	}}
	if _, err := s.cluster.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return s.cluster.Explain("make the scratch namespace", err)
	}
	for _, c := range secrets.Components() {
		data, err := s.book.Secrets.Data(c)
		if err != nil {
			return err
		}
		if err := s.cluster.WriteSecret(ctx, s.want.SecretName(c), data, s.book.Salt); err != nil {
			return err
		}
	}
	return s.support(ctx)
}

// support makes what the pods need and what runs nothing itself.
func (s *scratch) support(ctx context.Context) error {
	core := s.cluster.Client.CoreV1()
	o := metav1.CreateOptions{}
	for _, x := range s.objects.accounts {
		if _, err := core.ServiceAccounts(Namespace).Create(ctx, x, o); err != nil {
			return s.cluster.Explain("make the account "+x.Name, err)
		}
	}
	for _, x := range s.objects.configMaps {
		if _, err := core.ConfigMaps(Namespace).Create(ctx, x, o); err != nil {
			return s.cluster.Explain("make "+x.Name, err)
		}
	}
	for _, x := range s.objects.services {
		if _, err := core.Services(Namespace).Create(ctx, x, o); err != nil {
			return s.cluster.Explain("make the service "+x.Name, err)
		}
	}
	for _, x := range s.objects.policies {
		if _, err := s.cluster.Client.NetworkingV1().NetworkPolicies(Namespace).Create(ctx, x, o); err != nil {
			return s.cluster.Explain("make the policy "+x.Name, err)
		}
	}
	return nil
}

// begin makes a component's workload, whose pod then starts.
func (s *scratch) begin(ctx context.Context, c component) error {
	apps := s.cluster.Client.AppsV1()
	var err error
	if set, ok := s.objects.sets[c.name]; ok {
		_, err = apps.StatefulSets(Namespace).Create(ctx, set.DeepCopy(), metav1.CreateOptions{})
	} else {
		_, err = apps.Deployments(Namespace).Create(ctx, s.objects.apps[c.name].DeepCopy(), metav1.CreateOptions{})
	}
	return s.cluster.Explain("make "+c.name, err)
}

// remove takes a component's workload and its volume away, and waits until
// both are gone.
func (s *scratch) remove(ctx context.Context, c component) error {
	foreground := metav1.DeletePropagationForeground
	o := metav1.DeleteOptions{PropagationPolicy: &foreground}
	apps, core := s.cluster.Client.AppsV1(), s.cluster.Client.CoreV1()
	var err error
	if set, ok := s.objects.sets[c.name]; ok {
		err = apps.StatefulSets(Namespace).Delete(ctx, set.Name, o)
	} else {
		err = apps.Deployments(Namespace).Delete(ctx, s.objects.apps[c.name].Name, o)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return s.cluster.Explain("remove "+c.name, err)
	}
	of := metav1.ListOptions{LabelSelector: componentLabel + "=" + c.name}
	grace := quickly
	for _, err := range []error{
		core.Pods(Namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &grace}, of),
		core.PersistentVolumeClaims(Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, of),
	} {
		if err != nil {
			return s.cluster.Explain("remove what "+c.name+" left", err)
		}
	}
	return s.until(ctx, "the scratch "+c.name+" to be gone", func(ctx context.Context) (int, error) {
		pods, err := core.Pods(Namespace).List(ctx, of)
		if err != nil {
			return 0, err
		}
		claims, err := core.PersistentVolumeClaims(Namespace).List(ctx, of)
		if err != nil {
			return 0, err
		}
		return len(pods.Items) + len(claims.Items), nil
	})
}

const lookEvery = 2 * time.Second

// until waits until nothing is left of something.
func (s *scratch) until(ctx context.Context, what string, left func(context.Context) (int, error)) error {
	return gone(ctx, s.stall, what, left)
}

func gone(ctx context.Context, stall time.Duration, what string, left func(context.Context) (int, error)) error {
	return wait.Until(ctx, wait.Condition{What: what, Every: lookEvery, Box: time.Minute, Stall: stall}, func(ctx context.Context) (wait.State, error) {
		n, err := left(ctx)
		return wait.State{Done: err == nil && n == 0, Seen: fmt.Sprintf("%d left", n)}, err
	})
}

// restart lets a component boot again on what it has: its pod is asked to end
// as in any update, and its successor takes the same volume.
func restart(ctx context.Context, c *cluster.Cluster, selector string) error {
	pods, err := c.Client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return c.Explain("look for the pod", err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil {
			continue
		}
		if err := c.Client.CoreV1().Pods(c.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return c.Explain("restart "+p.Name, err)
		}
	}
	return nil
}

// Leftover is a scratch namespace that a run left behind.
type Leftover struct {
	// Holder is who made it.
	Holder string `json:"holder"`
	// Stopped is what of the release was stopped, by its namespace.
	Stopped *Stopped `json:"stopped,omitempty"`
}

// FindLeftover looks for a scratch namespace; nil means that there is none.
// One of the name that is not ours is an error: it is somebody's.
func FindLeftover(ctx context.Context, c *cluster.Cluster) (*Leftover, error) {
	ns, err := c.Client.CoreV1().Namespaces().Get(ctx, Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.Explain("look for a scratch namespace", err)
	}
	if ns.Labels[scratchLabel] != scratchValue {
		return nil, fault.New(fault.ForeignConfig, "rename or remove it, then run the same command again",
			"the namespace %s is there and was not made for measuring", Namespace)
	}
	return leftover(ns.Annotations)
}

// Clean removes the scratch namespace and its volumes, and starts again what
// of the release was stopped. It does nothing where there is none. It touches
// no other namespace's objects.
func Clean(ctx context.Context, c *cluster.Cluster, stall time.Duration, note func(string)) error {
	l, err := FindLeftover(ctx, c)
	if err != nil || l == nil {
		return err
	}
	var errs []error
	if l.Stopped != nil {
		note("starting the release again")
		errs = append(errs, l.Stopped.start(ctx, c))
	}
	note("removing the scratch namespace")
	errs = append(errs, removeNamespace(ctx, c, stall))
	return errors.Join(errs...)
}

func removeNamespace(ctx context.Context, c *cluster.Cluster, stall time.Duration) error {
	core := c.Client.CoreV1()
	grace := quickly
	// Controllers first, or they would replace the pods; then the pods without
	// the two minutes that a database is otherwise given.
	zero := metav1.DeleteOptions{}
	err := c.Client.AppsV1().StatefulSets(Namespace).DeleteCollection(ctx, zero, metav1.ListOptions{})
	err = errors.Join(err, c.Client.AppsV1().Deployments(Namespace).DeleteCollection(ctx, zero, metav1.ListOptions{}))
	err = errors.Join(err, core.Pods(Namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &grace}, metav1.ListOptions{}))
	if err != nil {
		return c.Explain("empty the scratch namespace", err)
	}
	err = core.Namespaces().Delete(ctx, Namespace, zero)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return c.Explain("remove the scratch namespace", err)
	}
	return gone(ctx, stall, "the scratch namespace and its volumes to be gone", func(ctx context.Context) (int, error) {
		_, err := core.Namespaces().Get(ctx, Namespace, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return 0, err
		}
		left := 0
		if err == nil {
			left = 1
		}
		volumes, err := core.PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, err
		}
		for _, v := range volumes.Items {
			if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == Namespace {
				left++
			}
		}
		return left, nil
	})
}

// annotate writes an annotation of the scratch namespace.
func annotate(ctx context.Context, c *cluster.Cluster, key, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	if err != nil {
		return fmt.Errorf("write an annotation: %w", err)
	}
	_, err = c.Client.CoreV1().Namespaces().Patch(ctx, Namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	return c.Explain("mark the scratch namespace", err)
}
