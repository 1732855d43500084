package hosttest

import (
	"io"
	"net"
	"sync"
)

// Link is the network between client and box. Its faults are set at any time
// and hit the connections that exist and those that come.
type Link struct {
	mu       sync.Mutex
	moved    *sync.Cond
	conns    map[*linkConn]bool
	in, out  int64
	execs    int
	cutIn    int64
	cutOut   int64
	cutExec  int
	refuse   bool
	stalled  bool
	accepted int
	onCut    func()
}

func newLink() *Link {
	l := &Link{conns: make(map[*linkConn]bool)}
	l.moved = sync.NewCond(&l.mu)
	return l
}

// In is how many bytes came from clients, Out how many went to them.
func (l *Link) In() int64 { return l.get(&l.in) }

// Out is how many bytes went to clients.
func (l *Link) Out() int64 { return l.get(&l.out) }

// Execs is how many commands were started.
func (l *Link) Execs() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.execs
}

// Accepted is how many connections were made.
func (l *Link) Accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted
}

func (l *Link) get(n *int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *n
}

// CutAfterIn cuts all connections when n more bytes have come from clients.
// The bytes before that arrive.
func (l *Link) CutAfterIn(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutIn = l.in + n
}

// CutAfterOut cuts all connections when n more bytes have gone to clients.
func (l *Link) CutAfterOut(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutOut = l.out + n
}

// CutAtExec cuts all connections at the n-th command from now on (counted
// from 1), before it runs.
func (l *Link) CutAtExec(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutExec = l.execs + n
}

// Refuse makes the box close new connections at once.
func (l *Link) Refuse(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = yes
}

// Stall keeps every byte from moving, without closing anything.
func (l *Link) Stall(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = yes
	l.moved.Broadcast()
}

// Freeze keeps every byte of the present connections from moving, for good;
// new ones work. So it looks when the client's network went away.
func (l *Link) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.frozen = true
	}
}

// Cut cuts all connections now.
func (l *Link) Cut() { l.cut() }

func (l *Link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutLocked()
}

// cutLocked lets nothing more through, then says so to OnCut, and only then
// shows it: whoever is to die with the connection must not be quicker to make
// another one.
func (l *Link) cutLocked() {
	conns := l.conns
	l.conns = make(map[*linkConn]bool)
	l.moved.Broadcast()
	if said := l.onCut; said != nil && len(conns) > 0 {
		l.mu.Unlock()
		said()
		l.mu.Lock()
	}
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// exec counts a command and tells whether it may run.
func (l *Link) exec() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.execs++
	if l.cutExec != 0 && l.execs >= l.cutExec {
		l.cutExec = 0
		l.cutLocked()
		return false
	}
	return true
}

// admit takes a new connection; nil when it is refused.
func (l *Link) admit(c net.Conn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse {
		_ = c.Close()
		return nil
	}
	l.accepted++
	lc := &linkConn{Conn: c, link: l}
	l.conns[lc] = true
	return lc
}

// linkConn is the box's side of one connection.
type linkConn struct {
	net.Conn
	link   *Link
	frozen bool
}

// Read passes bytes on up to the place where the link is cut. A cut reads and
// writes as io.EOF: the SSH library then hands on what has arrived, where
// another error would make it drop its buffers.
func (c *linkConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return c.link.pass(c, n, &c.link.in, &c.link.cutIn, err)
}

func (c *linkConn) Write(p []byte) (int, error) {
	n, err := c.link.pass(c, len(p), &c.link.out, &c.link.cutOut, nil)
	if n > 0 {
		if _, werr := c.Conn.Write(p[:n]); werr != nil {
			return 0, io.EOF
		}
	}
	return n, err
}

// pass counts n bytes and returns how many of them come through.
func (l *Link) pass(c *linkConn, n int, count, limit *int64, err error) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for (l.stalled || c.frozen) && l.conns[c] {
		l.moved.Wait()
	}
	if !l.conns[c] {
		return 0, io.EOF
	}
	if *limit != 0 && *count+int64(n) >= *limit {
		n = int(*limit - *count)
		*limit = 0
		*count += int64(n)
		// The last bytes are handed on before the reader learns of the cut.
		l.cutLocked()
		return n, nil
	}
	*count += int64(n)
	return n, err
}

// OnCut calls f at the next cuts, before the clients can know of them; nil for
// none.
func (l *Link) OnCut(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onCut = f
}
