package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Dial connects from the box to an address that it can reach.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	for n := 1; ; n++ {
		cn, err := c.live(ctx)
		if err != nil {
			return nil, err
		}
		out, err := cn.ssh.DialContext(ctx, network, address)
		if err == nil {
			return out, nil
		}
		var refusal *ssh.OpenChannelError
		switch {
		case errors.As(err, &refusal):
			// Net's own errors, for callers that wait for a port to open.
			return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("from %s: %s: %w", c.target.Name, address, err)}
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case n == attempts:
			return nil, &fault.Error{Code: fault.LinkLost, Op: "connect to " + address + " through the box", Err: err}
		}
		cn.close(err)
	}
}

// Tunnel serves a local listener by connecting each of its connections from
// the box to an address, until ctx ends. It survives lost connections: those
// under way break, the next ones work.
func (c *Client) Tunnel(ctx context.Context, l net.Listener, address string) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		local, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		wg.Go(func() {
			if err := c.pass(ctx, local, address); err != nil && ctx.Err() == nil {
				c.opts.Events("tunnel: " + err.Error())
			}
		})
	}
}

func (c *Client) pass(ctx context.Context, local net.Conn, address string) error {
	defer local.Close()
	remote, err := c.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer remote.Close()
	stop := context.AfterFunc(ctx, func() { _ = local.Close(); _ = remote.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { copyAndEnd(remote, local) })
	wg.Go(func() { copyAndEnd(local, remote) })
	wg.Wait()
	return nil
}

// copyAndEnd passes one direction on and then its end, so that both sides see
// half-closed connections as they are.
func copyAndEnd(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
		return
	}
	_ = to.Close()
}
