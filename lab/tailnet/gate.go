package tailnet

import (
	"net"
	"sync"
)

// gate stands before listeners. Shut, it ends every connection and each new
// one at once, as a machine does whose server is down.
type gate struct {
	mu    sync.Mutex
	shut  bool
	conns map[*gatedConn]struct{}
}

func newGate() *gate { return &gate{conns: map[*gatedConn]struct{}{}} }

func (g *gate) set(shut bool) {
	g.mu.Lock()
	g.shut = shut
	var open []*gatedConn
	if shut {
		for conn := range g.conns {
			open = append(open, conn)
		}
	}
	g.mu.Unlock()
	for _, conn := range open {
		_ = conn.Close()
	}
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

func (g *gate) listen(inner net.Listener) net.Listener {
	return &gatedListener{Listener: inner, gate: g}
}

type gatedListener struct {
	net.Listener
	gate *gate
}

func (l *gatedListener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn := &gatedConn{Conn: inner, gate: l.gate}
		l.gate.mu.Lock()
		shut := l.gate.shut
		if !shut {
			l.gate.conns[conn] = struct{}{}
		}
		l.gate.mu.Unlock()
		if !shut {
			return conn, nil
		}
		_ = inner.Close()
	}
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c *gatedConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
