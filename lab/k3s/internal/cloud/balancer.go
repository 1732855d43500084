package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cloud-provider/api"
	"k8s.io/utils/ptr"
)

// recheck is how soon a load balancer without a ready pod is looked at again.
const recheck = 5 * time.Second

// balancer makes a load balancer out of pods that hold the service's ports on
// the node and pass them on.
type balancer struct{ *provider }

func (b *balancer) GetLoadBalancerName(_ context.Context, _ string, svc *core.Service) string {
	return balancerName(svc)
}

func (b *balancer) GetLoadBalancer(ctx context.Context, _ string, svc *core.Service) (*core.LoadBalancerStatus, bool, error) {
	_, err := b.client.AppsV1().DaemonSets(b.node.LoadBalancerNamespace).Get(ctx, balancerName(svc), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	status, err := b.status(ctx, svc)
	return status, true, err
}

func (b *balancer) EnsureLoadBalancer(ctx context.Context, _ string, svc *core.Service, _ []*core.Node) (*core.LoadBalancerStatus, error) {
	if err := b.apply(ctx, svc); err != nil {
		return nil, err
	}
	status, err := b.status(ctx, svc)
	if err != nil {
		return nil, err
	}
	if len(status.Ingress) == 0 {
		return nil, api.NewRetryError(fmt.Sprintf("pods of %s are not ready yet", balancerName(svc)), recheck)
	}
	return status, nil
}

func (b *balancer) UpdateLoadBalancer(ctx context.Context, _ string, svc *core.Service, _ []*core.Node) error {
	return b.apply(ctx, svc)
}

func (b *balancer) EnsureLoadBalancerDeleted(ctx context.Context, _ string, svc *core.Service) error {
	err := b.client.AppsV1().DaemonSets(b.node.LoadBalancerNamespace).Delete(ctx, balancerName(svc), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (b *balancer) apply(ctx context.Context, svc *core.Service) error {
	ns := b.node.LoadBalancerNamespace
	account := &core.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: accountName, Namespace: ns}, AutomountServiceAccountToken: ptr.To(false)}
	_, err := b.client.CoreV1().ServiceAccounts(ns).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create load balancer's account: %w", err)
	}
	_, err = b.client.AppsV1().DaemonSets(ns).Apply(ctx, daemonSet(ns, svc), metav1.ApplyOptions{FieldManager: "servicelb", Force: true})
	if err != nil {
		return fmt.Errorf("apply load balancer: %w", err)
	}
	return nil
}

// status lists the node's address once the pods that answer on it are ready.
func (b *balancer) status(ctx context.Context, svc *core.Service) (*core.LoadBalancerStatus, error) {
	pods, err := b.client.CoreV1().Pods(b.node.LoadBalancerNamespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{nameLabel: svc.Name, namespaceLabel: svc.Namespace}.String(),
	})
	if err != nil {
		return nil, fmt.Errorf("list load balancer's pods: %w", err)
	}
	status := &core.LoadBalancerStatus{}
	for _, pod := range pods.Items {
		if pod.Spec.NodeName == b.node.Name && ready(&pod) {
			status.Ingress = []core.LoadBalancerIngress{{IP: b.address(), IPMode: ptr.To(core.LoadBalancerIPModeVIP)}}
		}
	}
	return status, nil
}

func (b *balancer) address() string {
	if b.node.ExternalIP != "" {
		return b.node.ExternalIP
	}
	return b.node.InternalIP
}

func ready(pod *core.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == core.PodReady {
			return c.Status == core.ConditionTrue
		}
	}
	return false
}

func balancerName(svc *core.Service) string {
	// The UID's first part keeps services of one name in two namespaces apart.
	id, _, _ := strings.Cut(string(svc.UID), "-")
	return "svclb-" + svc.Name + "-" + id
}
