package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds how long a client waits for one target before the next is tried.
const dialTimeout = 10 * time.Second

func serveTCP(ctx context.Context, s settings, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return acceptTCP(ctx, listener, s, log)
}

// acceptTCP serves until ctx ends, then closes the connections it has: the pod
// is going away, and its clients should notice now rather than at a timeout.
func acceptTCP(ctx context.Context, listener net.Listener, s settings, log *slog.Logger) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	for {
		client, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		open.Go(func() {
			if err := forwardTCP(ctx, client.(*net.TCPConn), s); err != nil {
				log.Warn("connection failed", "client", client.RemoteAddr(), "error", err)
			}
		})
	}
}

func forwardTCP(ctx context.Context, client *net.TCPConn, s settings) error {
	defer client.Close()
	if !s.allows(client.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()) {
		return errors.New("turned away: outside the service's source ranges")
	}
	target, err := dialTCP(ctx, s.targets)
	if err != nil {
		return err
	}
	defer target.Close()
	stop := context.AfterFunc(ctx, func() { client.Close(); target.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { copyThenHangUp(target, client) })
	both.Go(func() { copyThenHangUp(client, target) })
	both.Wait()
	return nil
}

// copyThenHangUp passes an end of stream on without closing the way back: a
// client may shut down its side and still wait for the answer.
func copyThenHangUp(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		// One side is gone; the other must not wait for it.
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}

func dialTCP(ctx context.Context, targets []string) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	var errs []error
	for _, target := range targets {
		conn, err := dialer.DialContext(ctx, "tcp", target)
		if err == nil {
			return conn.(*net.TCPConn), nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
