package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// idle is how long a client may be silent before its session is forgotten;
	// the kernel forgets a UDP stream after as much.
	idle        = 2 * time.Minute
	maxDatagram = 1 << 16
)

// sessions holds one socket to the target for each client, which is how an
// answer finds its way back.
type sessions struct {
	mu   sync.Mutex
	open map[netip.AddrPort]*net.UDPConn
}

func serveUDP(ctx context.Context, s settings, log *slog.Logger) error {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", s.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return relayUDP(ctx, conn.(*net.UDPConn), s, log)
}

func relayUDP(ctx context.Context, listener *net.UDPConn, s settings, log *slog.Logger) error {
	table := &sessions{open: map[netip.AddrPort]*net.UDPConn{}}
	var answering sync.WaitGroup
	defer answering.Wait()
	stop := context.AfterFunc(ctx, func() { listener.Close(); table.closeAll() })
	defer stop()
	buffer := make([]byte, maxDatagram)
	for {
		n, client, err := listener.ReadFromUDPAddrPort(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if !s.allows(client.Addr()) {
			continue
		}
		target, fresh, err := table.get(ctx, client, s.targets[0])
		if err != nil {
			log.Warn("cannot reach target", "client", client, "error", err)
			continue
		}
		if fresh {
			answering.Go(func() {
				defer table.drop(client)
				answer(listener, target, client)
			})
		}
		// A datagram that cannot be sent is a lost one, as on any network.
		if _, err := target.Write(buffer[:n]); err != nil && !errors.Is(err, net.ErrClosed) {
			log.Warn("datagram lost", "client", client, "error", err)
		}
	}
}

// answer carries datagrams back until the session has been idle for long enough.
func answer(listener, target *net.UDPConn, client netip.AddrPort) {
	buffer := make([]byte, maxDatagram)
	for {
		if err := target.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return
		}
		n, err := target.Read(buffer)
		if err != nil {
			return
		}
		if _, err := listener.WriteToUDPAddrPort(buffer[:n], client); err != nil {
			return
		}
	}
}

func (t *sessions) get(ctx context.Context, client netip.AddrPort, target string) (conn *net.UDPConn, fresh bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if conn, ok := t.open[client]; ok {
		return conn, false, nil
	}
	dialed, err := new(net.Dialer).DialContext(ctx, "udp", target)
	if err != nil {
		return nil, false, err
	}
	conn = dialed.(*net.UDPConn)
	t.open[client] = conn
	return conn, true, nil
}

func (t *sessions) drop(client netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if conn, ok := t.open[client]; ok {
		conn.Close()
		delete(t.open, client)
	}
}

func (t *sessions) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, conn := range t.open {
		conn.Close()
	}
}
