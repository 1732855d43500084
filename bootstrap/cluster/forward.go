package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	clientspdy "k8s.io/client-go/transport/spdy"
)

const forwardProtocol = "portforward.k8s.io"

// Forward connects to a port of a pod through the API server, without a local
// port.
func (c *Cluster) Forward(ctx context.Context, pod string, port int) (net.Conn, error) {
	request := c.Client.CoreV1().RESTClient().Post().Namespace(c.Namespace).Resource("pods").Name(pod).SubResource("portforward")
	transport, upgrader, err := c.upgrade()
	if err != nil {
		return nil, err
	}
	dialer := clientspdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, request.URL())
	conn, _, err := dialer.Dial(forwardProtocol)
	if err != nil {
		return nil, c.Explain(fmt.Sprintf("connect to port %d of %s", port, pod), err)
	}
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := conn.CreateStream(headers)
	if err == nil {
		// Nothing is written to it; what is read from it is why it failed.
		err = failures.Close()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to port %d of %s: %w", port, pod, err)
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(headers)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to port %d of %s: %w", port, pod, err)
	}
	f := &forwarded{Stream: data, conn: conn, address: net.JoinHostPort(pod, strconv.Itoa(port))}
	f.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return f, nil
}

// forwarded is a stream of the API server's as a connection. Deadlines are the
// context's alone.
type forwarded struct {
	httpstream.Stream
	conn    httpstream.Connection
	address string
	stop    func() bool
}

// Close ends the whole connection: it carries nothing else.
func (f *forwarded) Close() error {
	f.stop()
	return f.conn.Close()
}

// LocalAddr names the pod's port, for want of another.
func (f *forwarded) LocalAddr() net.Addr { return address(f.address) }

// RemoteAddr names the pod's port.
func (f *forwarded) RemoteAddr() net.Addr { return address(f.address) }

// SetDeadline does nothing.
func (f *forwarded) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (f *forwarded) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (f *forwarded) SetWriteDeadline(time.Time) error { return nil }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }
