// Package kubeconfig adds a cluster to the user's kubeconfig.
//
// It keeps the promise that the user's kubeconfig is theirs: one context of
// ours is added or renewed in it, everything else stays, and a file that
// cannot be read is left alone.
package kubeconfig

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Entry is the context that is added to a kubeconfig.
type Entry struct {
	// Name is the context's, the cluster's and the user's.
	Name string
	// Port is the local end of the tunnel.
	Port int
	// Server is a name or an address under which the API is reached without
	// one; its certificate must hold it.
	Server string
	// Use makes it the current context; otherwise it becomes that only where
	// there is none.
	Use bool
	// Replace allows taking the place of a context of the same name that
	// leads elsewhere.
	Replace bool
}

// Merge adds the cluster of k3s's own kubeconfig to the user's, whose text may
// be empty, and returns the new text.
func Merge(users, k3s []byte, e Entry) ([]byte, error) {
	into := api.NewConfig()
	if len(users) > 0 {
		var err error
		if into, err = clientcmd.Load(users); err != nil {
			return nil, &fault.Error{Code: fault.KubeconfigInvalid, Op: "read kubeconfig", Err: err}
		}
	}
	cluster, user, err := parse(k3s)
	if err != nil {
		return nil, err
	}
	if err := mayTake(into, cluster, e); err != nil {
		return nil, err
	}
	if e.Server != "" {
		cluster.Server = "https://" + net.JoinHostPort(e.Server, apiPort)
	} else {
		through(cluster, e.Port)
	}
	into.Clusters[e.Name] = cluster
	into.AuthInfos[e.Name] = user
	into.Contexts[e.Name] = &api.Context{Cluster: e.Name, AuthInfo: e.Name}
	if e.Use || into.CurrentContext == "" {
		into.CurrentContext = e.Name
	}
	out, err := clientcmd.Write(*into)
	if err != nil {
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}
	return out, nil
}

// parse returns the one cluster and user of k3s's kubeconfig.
func parse(k3s []byte) (*api.Cluster, *api.AuthInfo, error) {
	from, err := clientcmd.Load(k3s)
	if err != nil {
		return nil, nil, fmt.Errorf("read k3s's kubeconfig: %w", err)
	}
	context := from.Contexts[from.CurrentContext]
	if context == nil || from.Clusters[context.Cluster] == nil || from.AuthInfos[context.AuthInfo] == nil {
		return nil, nil, fmt.Errorf("read k3s's kubeconfig: it has no current context with a cluster and a user")
	}
	return from.Clusters[context.Cluster].DeepCopy(), from.AuthInfos[context.AuthInfo].DeepCopy(), nil
}

// through leads the cluster's address to the tunnel. The certificate is still
// checked for the name that k3s itself uses.
func through(c *api.Cluster, port int) {
	if u, err := url.Parse(c.Server); err == nil && c.TLSServerName == "" {
		c.TLSServerName = u.Hostname()
	}
	c.Server = "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// apiPort is where k3s serves the API.
const apiPort = "6443"

// mayTake refuses to replace a context that leads to something else than a
// tunnel on this computer or another way to the same cluster.
func mayTake(into *api.Config, to *api.Cluster, e Entry) error {
	if e.Replace {
		return nil
	}
	old := into.Contexts[e.Name]
	if old == nil {
		return nil
	}
	if c := into.Clusters[old.Cluster]; old.Cluster == e.Name && (c == nil || isTunnel(c.Server) || same(c, to)) {
		return nil
	}
	return fault.New(fault.Usage, "choose another name with --context, or replace it with --yes",
		"the kubeconfig has a context %q already that leads elsewhere", e.Name)
}

// same tells a cluster by its authority, which no other has.
func same(a, b *api.Cluster) bool {
	return len(a.CertificateAuthorityData) > 0 && bytes.Equal(a.CertificateAuthorityData, b.CertificateAuthorityData)
}

func isTunnel(server string) bool {
	u, err := url.Parse(server)
	return err == nil && u.Hostname() == "127.0.0.1"
}
