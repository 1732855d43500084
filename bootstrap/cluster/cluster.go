// Package cluster talks to one Kubernetes API.
//
// It keeps the promise that nothing listens and nothing lies around for it: a
// box's API is reached through the SSH connection that is open anyway, without
// a local port and without a kubeconfig file, and what goes into a pod's
// program goes in on its standard input.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Dial connects to an address, from wherever the API is to be reached.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Cluster is one Kubernetes API, seen from one namespace of it.
type Cluster struct {
	// Name is how the user calls it.
	Name   string
	Config *rest.Config
	Client kubernetes.Interface
	// Metadata sees objects without their contents.
	Metadata  metadata.Interface
	Namespace string
}

// Through returns the cluster that a kubeconfig describes, reached by dial.
func Through(name, namespace string, kubeconfig secrets.Value, dial Dial) (*Cluster, error) {
	cfg, err := clientcmd.RESTConfigFromKubeConfig([]byte(kubeconfig.Reveal()))
	if err != nil {
		// The parser's text may quote the file, which holds the admin's key.
		return nil, &fault.Error{Code: fault.ClusterUnreachable, Op: "read the kubeconfig of " + name, Err: errors.New("it is damaged")}
	}
	cfg.Dial = dial
	return open(name, namespace, cfg)
}

// Context returns the cluster of a context of the user's own kubeconfig.
func Context(name, namespace string, files []string) (*Cluster, error) {
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: files}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: name}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, &fault.Error{
			Code: fault.KubeconfigInvalid, Op: "find the context " + name, Err: err,
			Next: "see which there are with `kubectl config get-contexts`",
		}
	}
	return open(name, namespace, cfg)
}

// Contexts are the names of those in the user's kubeconfig.
func Contexts(files []string) []string {
	known, err := (&clientcmd.ClientConfigLoadingRules{Precedence: files, WarnIfAllMissing: false}).Load()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(known.Contexts))
}

func open(name, namespace string, cfg *rest.Config) (*Cluster, error) {
	// The defaults of 5 a second are for controllers; a release is some 60
	// requests that somebody waits for.
	cfg.QPS, cfg.Burst = 50, 100
	// An old CPU that starts six pods answers late, and still answers.
	cfg.Timeout = 2 * time.Minute
	// The library would print the server's warnings between our lines.
	cfg.WarningHandler = rest.NoWarnings{}
	typed := rest.CopyConfig(cfg)
	// A third of the bytes of JSON, on a link where they count.
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(typed)
	if err != nil {
		return nil, &fault.Error{Code: fault.ClusterUnreachable, Op: "set up the connection to " + name, Err: err}
	}
	meta, err := metadata.NewForConfig(typed)
	if err != nil {
		return nil, &fault.Error{Code: fault.ClusterUnreachable, Op: "set up the connection to " + name, Err: err}
	}
	return &Cluster{Name: name, Config: cfg, Client: client, Metadata: meta, Namespace: namespace}, nil
}

// Explain gives an error of the API its code and what to do next.
func (c *Cluster) Explain(op string, err error) error {
	var own *fault.Error
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", op, err)
	case isTerminating(err):
		return Terminating(op, c.Namespace)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return &fault.Error{Code: fault.ClusterUnreachable, Op: op, Err: err, Next: "use a kubeconfig whose user may do this; `kubectl auth can-i --list -n " + c.Namespace + "` shows what it may"}
	case errors.As(err, &status):
		return &fault.Error{Code: fault.ReleaseFailed, Op: op, Err: err}
	}
	return &fault.Error{Code: fault.ClusterUnreachable, Op: op, Err: err}
}

func isTerminating(err error) bool {
	return apierrors.HasStatusCause(err, "NamespaceTerminating") ||
		err != nil && strings.Contains(err.Error(), "because it is being terminated")
}

// At makes every connection lead to one address.
func At(dial Dial, address string) Dial {
	return func(ctx context.Context, network, _ string) (net.Conn, error) { return dial(ctx, network, address) }
}
