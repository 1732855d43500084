package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conn is one connection through the link.
type conn struct {
	id     int
	opened time.Time
	ctx    context.Context // ends when the connection is reset
	abort  context.CancelFunc
	bytes  [2]atomic.Int64

	mu     sync.Mutex
	client *net.TCPConn
	far    *net.TCPConn
	ended  bool
}

// join adds the far side, unless the connection was reset while it was dialled.
func (c *conn) join(far *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		hangUp(far)
		return false
	}
	c.far = far
	return true
}

// reset hangs up on both sides without a goodbye.
func (c *conn) reset() { c.end(hangUp) }

// close ends a connection that both sides have finished.
func (c *conn) close() { c.end(func(side *net.TCPConn) { side.Close() }) }

func (c *conn) end(how func(*net.TCPConn)) {
	c.abort()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	how(c.client)
	if c.far != nil {
		how(c.far)
	}
}

// hangUp closes with a reset instead of an orderly end.
func hangUp(side *net.TCPConn) {
	side.SetLinger(0)
	side.Close()
}

// piece is a run of bytes on its way, and when it arrives.
type piece struct {
	data []byte
	due  time.Time
}

// carry forwards one way until its source ends, then passes the end on: the
// other way may still have something to say.
func (l *Link) carry(c *conn, way Direction, from, to *net.TCPConn) {
	// Sized so that the pieces of a full queue are one window.
	queue := make(chan piece, 4)
	var both sync.WaitGroup
	both.Go(func() {
		defer close(queue)
		l.collect(c, way, from, queue)
	})
	both.Go(func() { l.deliver(c, way, to, queue) })
	both.Wait()
}

// collect reads pieces and lets each wait for its turn on the wire.
func (l *Link) collect(c *conn, way Direction, from *net.TCPConn, queue chan<- piece) {
	for {
		data := make([]byte, l.wire[way].grain())
		n, err := from.Read(data)
		if n > 0 {
			if l.wire[way].cross(c.ctx, n) != nil {
				return
			}
			select {
			case queue <- piece{data[:n], time.Now().Add(l.delay())}:
			case <-c.ctx.Done():
				return
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			c.reset()
			return
		}
	}
}

func (l *Link) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latency
}

// deliver writes the pieces when they are due and the link flows.
func (l *Link) deliver(c *conn, way Direction, to *net.TCPConn, queue <-chan piece) {
	for p := range queue {
		if wait := time.Until(p.due); wait > 0 && !pause(c.ctx, wait) {
			return
		}
		if !l.passes(c) || !l.put(c, way, to, p.data) {
			return
		}
	}
	if c.ctx.Err() == nil && l.passes(c) {
		to.CloseWrite()
	}
}

// passes waits out a stall; it is false when the connection ended meanwhile.
func (l *Link) passes(c *conn) bool {
	select {
	case <-l.gate():
		return c.ctx.Err() == nil
	case <-c.ctx.Done():
		return false
	}
}

// put writes what the fuse allows, and cuts the link when that was the last of it.
func (l *Link) put(c *conn, way Direction, to *net.TCPConn, data []byte) bool {
	allowed, last := l.spend(way, len(data))
	n, err := to.Write(data[:allowed])
	c.bytes[way].Add(int64(n))
	l.wire[way].total.Add(int64(n))
	l.wrote(way)
	if err != nil {
		c.reset()
	}
	if last {
		l.settle(way)
		l.Cut()
	}
	return err == nil && !last && allowed == len(data)
}

// unacknowledged is how many bytes that were handed on that way the other
// side's kernel has not taken yet.
func (c *conn) unacknowledged(way Direction) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := c.far
	if way == Down {
		to = c.client
	}
	if to == nil || c.ended {
		return 0
	}
	raw, err := to.SyscallConn()
	if err != nil {
		return 0
	}
	left := 0
	if raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil {
		return 0
	}
	return left
}

// segment is what fits an Ethernet frame. Loopback's own segments of 64 KiB do
// not fit the window, and a sender with more to say than fits waits 200 ms for
// it to open: the link would move 150 kB/s, whatever its rate.
const segment = 1460

// narrow keeps the kernel from holding megabytes on the link's behalf: a real
// wire does not.
func narrow(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, window/2),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, window/2),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, segment),
		)
	})
	return errors.Join(err, failed)
}

func listenNarrow(address string) (net.Listener, error) {
	// Accepted sockets inherit the buffers, and only so does the handshake
	// announce a window that fits them.
	return (&net.ListenConfig{Control: narrow}).Listen(context.Background(), "tcp4", address)
}

func dialNarrow(ctx context.Context, target string) (*net.TCPConn, error) {
	side, err := (&net.Dialer{Control: narrow, Timeout: time.Minute}).DialContext(ctx, "tcp4", target)
	if err != nil {
		return nil, err
	}
	return side.(*net.TCPConn), nil
}
