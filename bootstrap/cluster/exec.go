package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream/spdy"

	clientspdy "k8s.io/client-go/transport/spdy"
)

// Program is one program to be run in a pod. Argv is visible to everybody on
// the node and in the API server's log, so secrets go to Stdin.
type Program struct {
	Pod, Container string
	Argv           []string
	Stdin          string
}

// ExecError is a program that ran and failed, or could not be run.
type ExecError struct {
	Pod    string
	Name   string
	Stderr string
	Err    error
}

// Error names the program and says the last line of what it said.
func (e *ExecError) Error() string {
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Sprintf("%s in %s: %s", e.Name, e.Pod, last)
	}
	return fmt.Sprintf("%s in %s: %v", e.Name, e.Pod, e.Err)
}

// Unwrap returns the cause.
func (e *ExecError) Unwrap() error { return e.Err }

// Exec runs a program in a pod and returns its standard output.
func (c *Cluster) Exec(ctx context.Context, p Program) (string, error) {
	request := c.Client.CoreV1().RESTClient().Post().Namespace(c.Namespace).Resource("pods").Name(p.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: p.Container, Command: p.Argv, Stdin: true, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec)
	transport, upgrader, err := c.upgrade()
	if err != nil {
		return "", err
	}
	executor, err := remotecommand.NewSPDYExecutorForTransports(transport, upgrader, http.MethodPost, request.URL())
	if err != nil {
		return "", fmt.Errorf("set up %s in %s: %w", p.Argv[0], p.Pod, err)
	}
	var stdout, stderr bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(p.Stdin), Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return "", cause
		}
		return stdout.String(), &ExecError{Pod: p.Pod, Name: p.Argv[0], Stderr: stderr.String(), Err: err}
	}
	return stdout.String(), nil
}

// upgrade makes the connection for one exec. The library's own way ignores
// the configuration's Dial, so the upgrading transport gets one that has it.
func (c *Cluster) upgrade() (http.RoundTripper, clientspdy.Upgrader, error) {
	tls, err := rest.TLSConfigFor(c.Config)
	if err != nil {
		return nil, nil, fmt.Errorf("read the API's certificates: %w", err)
	}
	plain := &http.Transport{TLSClientConfig: tls, DialContext: c.Config.Dial}
	if c.Config.Dial == nil {
		plain.Proxy = http.ProxyFromEnvironment
	}
	round, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{UpgradeTransport: plain, PingPeriod: 20 * time.Second})
	if err != nil {
		return nil, nil, fmt.Errorf("set up the connection to a pod: %w", err)
	}
	wrapped, err := rest.HTTPWrappersForConfig(c.Config, round)
	if err != nil {
		return nil, nil, fmt.Errorf("set up the login to the API: %w", err)
	}
	return wrapped, clientspdy.NewUpgraderForStreaming(round), nil
}
