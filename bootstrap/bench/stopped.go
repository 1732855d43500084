package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
)

// Stopped is a release whose pods were taken away to make room, with how many
// of each there were. Its volumes stay.
type Stopped struct {
	Namespace    string           `json:"namespace"`
	Deployments  map[string]int32 `json:"deployments"`
	StatefulSets map[string]int32 `json:"statefulSets"`
}

// stop notes in the scratch namespace how many pods the release has, and only
// then takes them away: whoever finds the note can start it again.
func stop(ctx context.Context, c *cluster.Cluster, namespace, name string, stall time.Duration) (*Stopped, error) {
	s := &Stopped{Namespace: namespace, Deployments: map[string]int32{}, StatefulSets: map[string]int32{}}
	of := metav1.ListOptions{LabelSelector: instanceLabel + "=" + name}
	deployments, err := c.Client.AppsV1().Deployments(namespace).List(ctx, of)
	if err != nil {
		return nil, c.Explain("look at the release", err)
	}
	sets, err := c.Client.AppsV1().StatefulSets(namespace).List(ctx, of)
	if err != nil {
		return nil, c.Explain("look at the release", err)
	}
	for _, d := range deployments.Items {
		s.Deployments[d.Name] = count(d.Spec.Replicas)
	}
	for _, x := range sets.Items {
		s.StatefulSets[x.Name] = count(x.Spec.Replicas)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write what is stopped: %w", err)
	}
	if err := annotate(ctx, c, stoppedAnnotation, string(text)); err != nil {
		return nil, err
	}
	if err := s.scale(ctx, c, func(int32) int32 { return 0 }); err != nil {
		return s, err
	}
	return s, gone(ctx, stall, "the release's pods to be gone", func(ctx context.Context) (int, error) {
		pods, err := c.Client.CoreV1().Pods(namespace).List(ctx, of)
		if err != nil {
			return 0, err
		}
		return len(pods.Items), nil
	})
}

// start gives the release its pods back and takes the note away.
func (s *Stopped) start(ctx context.Context, c *cluster.Cluster) error {
	if err := s.scale(ctx, c, func(n int32) int32 { return n }); err != nil {
		return err
	}
	return annotate(ctx, c, stoppedAnnotation, "")
}

func (s *Stopped) scale(ctx context.Context, c *cluster.Cluster, to func(int32) int32) error {
	apps := c.Client.AppsV1()
	var errs []error
	patch := func(n int32) []byte { return fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, to(n)) }
	for name, n := range s.Deployments {
		_, err := apps.Deployments(s.Namespace).Patch(ctx, name, types.MergePatchType, patch(n), metav1.PatchOptions{})
		errs = append(errs, present(err))
	}
	for name, n := range s.StatefulSets {
		_, err := apps.StatefulSets(s.Namespace).Patch(ctx, name, types.MergePatchType, patch(n), metav1.PatchOptions{})
		errs = append(errs, present(err))
	}
	return c.Explain("scale the release", errors.Join(errs...))
}

// present forgives that an object was removed meanwhile.
func present(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func count(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
