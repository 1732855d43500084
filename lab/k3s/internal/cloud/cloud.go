// Package cloud keeps two promises that k3s's cloud controller makes: a node
// becomes schedulable with the address it was given, and a Service of type
// LoadBalancer answers on the node's own address. The controllers are upstream's;
// only the answers about "the cloud" are ours.
package cloud

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/api"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	"k8s.io/component-base/cli/flag"
)

// ProviderName is k3s's, so that node labels and provider ids read the same.
const ProviderName = "k3s"

// Node is what there is to know about the one node of this cloud.
type Node struct {
	Name       string
	InternalIP string
	ExternalIP string
	// LoadBalancerNamespace is where the load balancers' pods run.
	LoadBalancerNamespace string
}

// Run runs the cloud controller manager until the context ends.
func Run(ctx context.Context, args []string, kubeconfig string, node Node) error {
	if err := waitForPrivileges(ctx, kubeconfig); err != nil {
		return err
	}
	opts, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		return err
	}
	// The provider is made here rather than registered by name: registration is
	// a process-wide table, and there is only one provider to choose from.
	initialize := func(*config.CompletedConfig) cloudprovider.Interface { return &provider{node: node} }
	cmd := app.NewCloudControllerManagerCommand(opts, initialize, app.DefaultInitFuncConstructors,
		names.CCMControllerAliases(), flag.NamedFlagSets{FlagSets: map[string]*pflag.FlagSet{}}, ctx.Done())
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	return cmd.ExecuteContext(ctx)
}

// waitForPrivileges waits until the manifest with the controller's role is in
// force. Started earlier, the controller would give up.
func waitForPrivileges(ctx context.Context, kubeconfig string) error {
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read cloud controller's kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	allowed := func(ctx context.Context) (bool, error) {
		for _, want := range []authorization.ResourceAttributes{
			{Verb: "patch", Resource: "nodes", Subresource: "status"},
			{Verb: "get", Resource: "configmaps", Namespace: "kube-system", Name: "extension-apiserver-authentication"},
		} {
			review := &authorization.SelfSubjectAccessReview{Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: &want}}
			got, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil || !got.Status.Allowed {
				return false, nil
			}
		}
		return true, nil
	}
	return wait.PollUntilContextCancel(ctx, time.Second, true, allowed)
}

type provider struct {
	node   Node
	client kubernetes.Interface
}

func (p *provider) Initialize(builder cloudprovider.ControllerClientBuilder, _ <-chan struct{}) {
	p.client = builder.ClientOrDie("cloud-controller-manager")
}

func (p *provider) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return &balancer{p}, true }
func (p *provider) Instances() (cloudprovider.Instances, bool)       { return nil, false }
func (p *provider) InstancesV2() (cloudprovider.InstancesV2, bool)   { return p, true }
func (p *provider) Zones() (cloudprovider.Zones, bool)               { return nil, false }
func (p *provider) Clusters() (cloudprovider.Clusters, bool)         { return nil, false }
func (p *provider) Routes() (cloudprovider.Routes, bool)             { return nil, false }
func (p *provider) ProviderName() string                             { return ProviderName }
func (p *provider) HasClusterID() bool                               { return true }

// InstanceExists is true for every node: a box that is switched off is not gone,
// and saying otherwise would delete its node object.
func (p *provider) InstanceExists(context.Context, *core.Node) (bool, error)   { return true, nil }
func (p *provider) InstanceShutdown(context.Context, *core.Node) (bool, error) { return false, nil }

func (p *provider) InstanceMetadata(_ context.Context, n *core.Node) (*cloudprovider.InstanceMetadata, error) {
	meta := &cloudprovider.InstanceMetadata{
		ProviderID:   ProviderName + "://" + n.Name,
		InstanceType: ProviderName,
	}
	if n.Name != p.node.Name {
		meta.NodeAddresses = addressesOf(n)
		return meta, nil
	}
	meta.NodeAddresses = []core.NodeAddress{
		{Type: core.NodeInternalIP, Address: p.node.InternalIP},
		{Type: core.NodeHostName, Address: n.Name},
	}
	if p.node.ExternalIP != "" {
		meta.NodeAddresses = append(meta.NodeAddresses, core.NodeAddress{Type: core.NodeExternalIP, Address: p.node.ExternalIP})
	}
	return meta, nil
}

// addressesOf is what an agent's kubelet says of itself; a node that says nothing,
// as one under an earlier name, keeps what it had.
func addressesOf(n *core.Node) []core.NodeAddress {
	given := n.Annotations[api.AnnotationAlphaProvidedIPAddr]
	if given == "" {
		return n.Status.Addresses
	}
	return []core.NodeAddress{
		{Type: core.NodeInternalIP, Address: given},
		{Type: core.NodeHostName, Address: n.Name},
	}
}
