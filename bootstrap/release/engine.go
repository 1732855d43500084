package release

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
)

// newEngine sets Helm up over a connection that is open already.
func newEngine(c *cluster.Cluster) (*action.Configuration, error) {
	disco, err := discovery.NewDiscoveryClientForConfig(c.Config)
	if err != nil {
		return nil, c.Explain("set up Helm", err)
	}
	getter := connection{cluster: c, discovery: memory.NewMemCacheClient(disco)}
	client := kube.New(getter)
	client.Namespace = c.Namespace
	secrets := driver.NewSecrets(c.Client.CoreV1().Secrets(c.Namespace))
	return &action.Configuration{
		RESTClientGetter: getter,
		KubeClient:       client,
		Releases:         storage.Init(&remembering{Driver: secrets}),
		Log:              func(string, ...any) {},
	}, nil
}

// connection gives Helm what it would otherwise read from kubeconfig files.
type connection struct {
	cluster   *cluster.Cluster
	discovery discovery.CachedDiscoveryInterface
}

func (c connection) ToRESTConfig() (*rest.Config, error) { return c.cluster.Config, nil }

func (c connection) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return c.discovery, nil
}

func (c connection) ToRESTMapper() (meta.RESTMapper, error) {
	return restmapper.NewDeferredDiscoveryRESTMapper(c.discovery), nil
}

func (c connection) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	o := &clientcmd.ConfigOverrides{Context: clientcmdapi.Context{Namespace: c.cluster.Namespace}}
	return clientcmd.NewDefaultClientConfig(*clientcmdapi.NewConfig(), o)
}

// remembering reads each revision once. Helm lists the whole history before
// every write, some 50 kB a revision, which is seconds on the link; nobody else
// writes it while the box is locked for this run.
type remembering struct {
	driver.Driver
	read map[string]*helmrelease.Release
}

func key(r *helmrelease.Release) string {
	return fmt.Sprintf("sh.helm.release.v1.%s.v%d", r.Name, r.Version)
}

func (m *remembering) load(name string) error {
	if m.read != nil {
		return nil
	}
	found, err := m.Driver.Query(map[string]string{"owner": "helm", "name": name})
	if err != nil && !notFound(err) {
		return err
	}
	m.read = map[string]*helmrelease.Release{}
	for _, r := range found {
		m.read[key(r)] = r
	}
	return nil
}

// Query answers what Helm asks: by name, and at times by status.
func (m *remembering) Query(labels map[string]string) ([]*helmrelease.Release, error) {
	if err := m.load(labels["name"]); err != nil {
		return nil, err
	}
	var out []*helmrelease.Release
	for _, k := range slices.Sorted(maps.Keys(m.read)) {
		r := m.read[k]
		if status := labels["status"]; r.Name == labels["name"] && (status == "" || status == r.Info.Status.String()) {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, driver.ErrReleaseNotFound
	}
	return out, nil
}

// Get returns one revision.
func (m *remembering) Get(k string) (*helmrelease.Release, error) {
	if r, ok := m.read[k]; ok {
		return r, nil
	}
	return m.Driver.Get(k)
}

// Create writes a new revision.
func (m *remembering) Create(k string, r *helmrelease.Release) error {
	err := m.Driver.Create(k, r)
	if err == nil && m.read != nil {
		m.read[k] = r
	}
	return err
}

// Update writes a revision anew.
func (m *remembering) Update(k string, r *helmrelease.Release) error {
	err := m.Driver.Update(k, r)
	if err == nil && m.read != nil {
		m.read[k] = r
	}
	return err
}

// Delete removes an old revision.
func (m *remembering) Delete(k string) (*helmrelease.Release, error) {
	r, err := m.Driver.Delete(k)
	if err == nil {
		delete(m.read, k)
	}
	return r, err
}

func notFound(err error) bool {
	return err != nil && strings.Contains(err.Error(), driver.ErrReleaseNotFound.Error())
}

// patchLabels changes labels of a revision's Secret in place: the contents need
// not cross the link again.
func patchLabels(ctx context.Context, c *cluster.Cluster, name string, revision int, labels map[string]string) error {
	return c.LabelSecret(ctx, fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, revision), labels)
}
