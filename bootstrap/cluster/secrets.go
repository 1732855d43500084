package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// How our objects are known.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "ssg-bootstrap"
	// DigestAnnotation tells contents of a Secret apart without reading them.
	DigestAnnotation = "ssg-bootstrap/digest"
	// SaltAnnotation keys the digests; it lies with the secrets that it
	// protects, so that another computer that takes them over makes the same
	// digests and restarts nothing.
	SaltAnnotation = "ssg-bootstrap/salt"
)

// Secret is one Secret of the cluster.
type Secret struct {
	Data  map[string][]byte
	Salt  secrets.Value
	Owned bool
}

// String tells nothing of the contents.
func (s Secret) String() string { return fmt.Sprintf("Secret with %d keys", len(s.Data)) }

// GoString tells nothing of the contents, for %#v.
func (s Secret) GoString() string { return s.String() }

// ReadSecret returns a Secret, nil if it is not there.
func (c *Cluster) ReadSecret(ctx context.Context, name string) (*Secret, error) {
	s, err := c.Client.CoreV1().Secrets(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.Explain("read the Secret "+name, scrub(err))
	}
	return &Secret{
		Data: s.Data, Salt: secrets.NewValue(s.Annotations[SaltAnnotation]),
		Owned: s.Labels[ManagedByLabel] == ManagedBy,
	}, nil
}

// WriteSecret makes a Secret hold the data. Keys that somebody else added stay.
func (c *Cluster) WriteSecret(ctx context.Context, name string, data secrets.Data, salt secrets.Value) error {
	api := c.Client.CoreV1().Secrets(c.Namespace)
	s, err := api.Get(ctx, name, metav1.GetOptions{})
	absent := apierrors.IsNotFound(err)
	switch {
	case absent:
		s = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.Namespace}, Type: corev1.SecretTypeOpaque}
	case err != nil:
		return c.Explain("read the Secret "+name, scrub(err))
	}
	fill(s, data, salt)
	if absent {
		_, err = api.Create(ctx, s, metav1.CreateOptions{})
	} else {
		_, err = api.Update(ctx, s, metav1.UpdateOptions{})
	}
	return c.Explain("write the Secret "+name, scrub(err))
}

func fill(s *corev1.Secret, data secrets.Data, salt secrets.Value) {
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	for k, v := range data {
		s.Data[k] = []byte(v.Reveal())
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	s.Labels[ManagedByLabel] = ManagedBy
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[SaltAnnotation] = salt.Reveal()
	s.Annotations[DigestAnnotation] = data.Digest(salt)
}

// scrub keeps of an API error about a Secret what it is, and not its text: a
// server that refuses an object may quote it.
func scrub(err error) error {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) || isTerminating(err) {
		return err
	}
	if reason := apierrors.ReasonForError(err); reason == metav1.StatusReasonInvalid || reason == metav1.StatusReasonUnknown {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Reason: reason, Code: status.Status().Code,
			Message: fmt.Sprintf("the API server refuses it (%d %s)", status.Status().Code, reason),
		}}
	}
	return err
}

// LabelSecret changes labels of a Secret and leaves the rest of it alone.
func (c *Cluster) LabelSecret(ctx context.Context, name string, labels map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return fmt.Errorf("write labels: %w", err)
	}
	_, err = c.Metadata.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(c.Namespace).
		Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return c.Explain("label the Secret "+name, scrub(err))
}
