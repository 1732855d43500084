package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Direction is the way that bytes go.
type Direction int

// The two ways. Up is from the client towards the box.
const (
	Up Direction = iota
	Down
)

// window is how much may be on its way at once. It bounds what a cut loses and
// what a sender believes to have sent long before it arrived.
const window = 64 << 10

// Link listens on loopback and forwards to one address.
type Link struct {
	target   string
	listener net.Listener
	wire     [2]*wire
	done     context.CancelFunc
	ctx      context.Context // ends with the link; its goroutines outlive every call
	running  sync.WaitGroup

	mu      sync.Mutex
	flowing chan struct{} // closed while bytes may flow
	cut     bool
	conns   map[*conn]struct{}
	history []ConnStats
	next    int
	refused int
	fuse    [2]int64 // bytes until the cut; negative: no cut is set
	writing [2]int   // pieces that the fuse let go and that are not written yet
	latency time.Duration
}

// Listen opens a link from address (port 0 picks one) to target: fast, near and whole.
func Listen(address, target string) (*Link, error) {
	listener, err := listenNarrow(address)
	if err != nil {
		return nil, fmt.Errorf("open link: %w", err)
	}
	ctx, done := context.WithCancel(context.Background())
	l := &Link{
		target:   target,
		listener: listener,
		wire:     [2]*wire{newWire(), newWire()},
		ctx:      ctx,
		done:     done,
		flowing:  make(chan struct{}),
		conns:    map[*conn]struct{}{},
		fuse:     [2]int64{-1, -1},
	}
	close(l.flowing)
	l.running.Go(l.accept)
	return l, nil
}

// Addr is where the link listens.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Port is where the link listens on loopback.
func (l *Link) Port() int { return l.listener.Addr().(*net.TCPAddr).Port }

// Close ends the link and all connections.
func (l *Link) Close() error {
	err := l.listener.Close()
	l.done()
	l.Cut()
	l.running.Wait()
	return err
}

// SetRate holds both ways to a rate each; 0 frees them.
func (l *Link) SetRate(r BitRate) {
	l.wire[Up].setRate(r)
	l.wire[Down].setRate(r)
}

// SetRateOf holds one way to a rate; 0 frees it.
func (l *Link) SetRateOf(way Direction, r BitRate) { l.wire[way].setRate(r) }

// SetLatency delays each way by d, for what is sent from now on.
func (l *Link) SetLatency(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency = d
}

// Stall stops the flow without a sign: connections stay open, new ones are
// taken, and nothing comes through any more.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flowing:
		l.flowing = make(chan struct{})
	default:
	}
}

// Resume ends a stall; nothing that was on its way is lost.
func (l *Link) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flowing:
	default:
		close(l.flowing)
	}
}

// Cut resets all connections; what was on its way is lost. New ones are reset
// until Restore.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutLocked()
}

func (l *Link) cutLocked() {
	l.cut = true
	l.fuse = [2]int64{-1, -1}
	for c := range l.conns {
		c.reset()
	}
}

// Restore takes new connections again.
func (l *Link) Restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

// CutAfter cuts the link as soon as n more bytes have gone that way, counted
// over all connections. Those n arrive, and none more.
func (l *Link) CutAfter(way Direction, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n <= 0 {
		l.cutLocked()
		return
	}
	l.fuse[way] = n
}

// CutOff tells whether the link is cut: a test awaits CutAfter by it.
func (l *Link) CutOff() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

func (l *Link) gate() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flowing
}

// spend takes up to n bytes off the fuse of that way and returns how many may
// go, and whether they are the last before the cut. Each call is ended by wrote.
func (l *Link) spend(way Direction, n int) (allowed int, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing[way]++
	if l.cut {
		return 0, false
	}
	if l.fuse[way] < 0 {
		return n, false
	}
	allowed = int(min(int64(n), l.fuse[way]))
	l.fuse[way] -= int64(allowed)
	return allowed, allowed > 0 && l.fuse[way] == 0
}

func (l *Link) wrote(way Direction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing[way]--
}

// patience is how long a cut waits for one that does not take its bytes.
const patience = 2 * time.Second

// settle waits until all that the fuse let go that way has arrived, on every
// connection: a reset throws away what still waits here, and the count would
// be a lie.
func (l *Link) settle(way Direction) {
	left := l.outstanding(way)
	for moved := time.Now(); left > 0 && time.Since(moved) < patience; {
		if !pause(l.ctx, time.Millisecond) {
			return
		}
		if now := l.outstanding(way); now != left {
			left, moved = now, time.Now()
		}
	}
}

// outstanding is what was let go that way and has not arrived: pieces that are
// not written, and bytes that the other side's kernel has not taken.
func (l *Link) outstanding(way Direction) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.writing[way]
	for c := range l.conns {
		sum += c.unacknowledged(way)
	}
	return sum
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, say: it may pass.
			if !pause(l.ctx, 50*time.Millisecond) {
				return
			}
			continue
		}
		l.running.Go(func() { l.serve(client.(*net.TCPConn)) })
	}
}

// serve carries one connection to its end.
func (l *Link) serve(client *net.TCPConn) {
	c := &conn{client: client, opened: time.Now()}
	c.ctx, c.abort = context.WithCancel(l.ctx)
	defer c.abort()
	if !l.admit(c) {
		hangUp(client)
		return
	}
	defer l.retire(c)
	// A stalled link does not even carry the question whether anyone is there.
	if !l.passes(c) {
		return
	}
	far, err := dialNarrow(c.ctx, l.target)
	if err != nil {
		c.reset()
		return
	}
	if !c.join(far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.carry(c, Up, client, far) })
	both.Go(func() { l.carry(c, Down, far, client) })
	both.Wait()
	c.close()
}

func (l *Link) admit(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut || l.ctx.Err() != nil {
		l.refused++
		return false
	}
	l.next++
	c.id = l.next
	l.conns[c] = struct{}{}
	return true
}

// keep is how many ended connections Stats remembers.
const keep = 64

func (l *Link) retire(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.history = append(l.history, c.stats(time.Now()))
	l.history = l.history[max(0, len(l.history)-keep):]
}

// pause waits, and tells whether the wait came to its end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
