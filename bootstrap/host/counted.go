package host

import (
	"net"
	"sync/atomic"
	"time"
)

// counters add up over all connections of a client.
type counters struct {
	in, out, trips, connects atomic.Int64
	rtt                      atomic.Int64
}

// answered notes an answer time and keeps the shortest.
func (c *counters) answered(d time.Duration) {
	for {
		old := c.rtt.Load()
		if old != 0 && old <= int64(d) || c.rtt.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// countedConn counts bytes and remembers when the box last said anything.
type countedConn struct {
	net.Conn
	c     *counters
	heard atomic.Int64
}

func newCountedConn(c net.Conn, counts *counters) *countedConn {
	cc := &countedConn{Conn: c, c: counts}
	cc.heard.Store(time.Now().UnixNano())
	return cc
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.c.in.Add(int64(n))
		c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.c.out.Add(int64(n))
	return n, err
}

// quiet is how long nothing came from the box.
func (c *countedConn) quiet() time.Duration {
	return time.Duration(time.Now().UnixNano() - c.heard.Load())
}
