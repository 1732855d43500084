package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// sessions is how many commands run side by side on one connection. OpenSSH
// allows ten; the lock has one of its own, and some stay free to end what was
// abandoned and for those that sshd has not quite closed yet.
const sessions = 6

// Client is one box, reached over SSH. It implements Host and ManyReader and
// reconnects when the connection is lost.
type Client struct {
	target Target
	opts   Options
	dialer *dialer
	sudo   *sudo
	slots  chan struct{}
	lock   lockState

	// connecting holds a token for the one who may make a connection.
	connecting chan struct{}
	mu         sync.Mutex
	cur        *conn
	closed     bool
}

// Connect logs in to the box. The error is one of fault.Unreachable,
// AuthRefused, HostKeyUnknown and HostKeyChanged.
func Connect(ctx context.Context, t Target, o Options) (*Client, error) {
	o = o.withDefaults()
	c := &Client{
		target:     t,
		opts:       o,
		dialer:     newDialer(t, o),
		sudo:       &sudo{user: t.User, prompter: o.Prompter, given: o.SudoPassword},
		slots:      make(chan struct{}, sessions),
		connecting: make(chan struct{}, 1),
	}
	cn, err := c.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.cur = cn
	return c, nil
}

// Name is what the user calls the box.
func (c *Client) Name() string { return c.target.Name }

// Target is where the client is connected to.
func (c *Client) Target() Target { return c.target }

// Stats returns what went over the link so far.
func (c *Client) Stats() Stats {
	n := c.dialer.counts
	return Stats{
		BytesIn: n.in.Load(), BytesOut: n.out.Load(),
		RoundTrips: int(n.trips.Load()), Connects: int(n.connects.Load()),
		RTT: time.Duration(n.rtt.Load()),
	}
}

var errClosed = errors.New("the connection was closed by this program")

// Close ends the connection. Jobs go on; the lock is let go of.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.cur != nil {
		c.cur.close(errClosed)
	}
	return nil
}

func (c *Client) enter(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) leave() { <-c.slots }

// current returns the living connection, or nil.
func (c *Client) current() (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if c.cur != nil && c.cur.alive() {
		return c.cur, nil
	}
	return nil, nil
}

// live returns a living connection, made anew if necessary.
func (c *Client) live(ctx context.Context) (*conn, error) {
	if cn, err := c.current(); cn != nil || err != nil {
		return cn, err
	}
	select {
	case c.connecting <- struct{}{}:
		defer func() { <-c.connecting }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	// Somebody else may have made it while this one waited.
	if cn, err := c.current(); cn != nil || err != nil {
		return cn, err
	}
	return c.reconnect(ctx)
}

const slowestRetry = 5 * time.Second

func (c *Client) reconnect(ctx context.Context) (*conn, error) {
	start := time.Now()
	lost := c.cur.cause
	c.opts.Logger.Debug("connection lost", "cause", lost)
	pause := 250 * time.Millisecond
	for {
		took := time.Since(start)
		c.opts.Events(fmt.Sprintf("connection lost, reconnecting (%d s)", int(took.Seconds())))
		cn, err := c.dialer.dial(ctx)
		if err == nil {
			return c.adopt(cn)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !worthRetrying(err) {
			return nil, err
		}
		if took = time.Since(start); took+pause > c.opts.ReconnectStall {
			return nil, &fault.Error{
				Code:     fault.LinkLost,
				Op:       "reconnect to " + c.target.String(),
				Err:      fmt.Errorf("the connection broke (%v) and did not come back within %s", lost, took.Round(time.Second)),
				Evidence: err.Error(),
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(2*pause, slowestRetry)
	}
}

// worthRetrying: a box that boots refuses logins for a while, but a host key
// that changed stays so.
func worthRetrying(err error) bool {
	switch fault.CodeOf(err) {
	case fault.Unreachable, fault.AuthRefused, fault.Unclassified:
		return true
	}
	return false
}

func (c *Client) adopt(cn *conn) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		cn.close(errClosed)
		return nil, errClosed
	}
	c.cur = cn
	c.opts.Events("connected again")
	return cn, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// attempts is how often something harmless is begun again when each time the
// connection breaks over it.
const attempts = 5

// again runs a script that may be repeated, until it came to its end.
func (c *Client) again(ctx context.Context, s func() script) ([]byte, error) {
	for n := 1; ; n++ {
		cn, err := c.live(ctx)
		if err != nil {
			return nil, err
		}
		stderr, err := c.exec(ctx, cn, s())
		var lost *lostError
		if !errors.As(err, &lost) || ctx.Err() != nil {
			return stderr, err
		}
		if n == attempts {
			return nil, linkLost(s().label, lost)
		}
	}
}

// once runs a script that must not be repeated blindly.
func (c *Client) once(ctx context.Context, s script) ([]byte, error) {
	cn, err := c.live(ctx)
	if err != nil {
		return nil, err
	}
	stderr, err := c.exec(ctx, cn, s)
	var lost *lostError
	if errors.As(err, &lost) && ctx.Err() == nil {
		return nil, linkLost(s.label, lost)
	}
	return stderr, err
}

func linkLost(what string, lost *lostError) error {
	return &fault.Error{Code: fault.LinkLost, Op: what, Err: lost}
}
