package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// EnsureNamespace makes the namespace if it is not there. One that is being
// deleted is explained: it accepts nothing and often hangs for a reason that it
// says itself.
func (c *Cluster) EnsureNamespace(ctx context.Context) error {
	op := "make the namespace " + c.Namespace
	ns, err := c.Client.CoreV1().Namespaces().Get(ctx, c.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		ns = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace, Labels: map[string]string{ManagedByLabel: ManagedBy}}}
		if ns, err = c.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
			return nil
		}
	}
	if err != nil {
		return c.Explain(op, err)
	}
	if ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating {
		return Terminating(op, c.Namespace, ns.Status.Conditions...)
	}
	return nil
}

// Terminating is the error about a namespace that is being deleted; it says why
// it does not go away, as far as that is known.
func Terminating(op, namespace string, why ...corev1.NamespaceCondition) error {
	var evidence []string
	for _, w := range why {
		if w.Status == corev1.ConditionTrue && w.Message != "" {
			evidence = append(evidence, w.Message)
		}
	}
	return &fault.Error{
		Code: fault.NamespaceTerminating, Op: op,
		Err:      errors.New("it is being deleted"),
		Evidence: strings.Join(evidence, "\n"),
		Next: fmt.Sprintf("see what it waits for with `kubectl get namespace %s -o jsonpath='{.status.conditions}'`; once it is gone, run the same command again",
			namespace),
	}
}
