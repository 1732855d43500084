package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// conn is one living connection to the box, with the jumps below it.
type conn struct {
	ssh   *ssh.Client
	raw   *countedConn
	jumps []*ssh.Client
	dead  chan struct{}

	once  sync.Once
	cause error
}

// close ends the connection; the first cause is the one that is told.
func (c *conn) close(cause error) {
	c.once.Do(func() {
		c.cause = cause
		close(c.dead)
	})
	// The raw connection first: closing in an orderly way would wait for a
	// box that may be gone.
	_ = c.raw.Close()
	_ = c.ssh.Close()
	for _, j := range c.jumps {
		_ = j.Close()
	}
}

func (c *conn) alive() bool {
	select {
	case <-c.dead:
		return false
	default:
		return true
	}
}

// watch closes the connection when it ends or when the box gives no sign of
// life. Bytes of any kind are one: behind a long upload an answer may be late.
func (c *conn) watch(every time.Duration, missed int, counts *counters) {
	go func() { c.close(fmt.Errorf("connection closed: %w", waitError(c.ssh.Wait()))) }()
	t := time.NewTicker(every)
	defer t.Stop()
	waiting := make(chan struct{}, 1)
	for {
		select {
		case <-c.dead:
			return
		case <-t.C:
		}
		if quiet := c.raw.quiet(); quiet > time.Duration(missed)*every {
			c.close(fmt.Errorf("no sign of life for %s", quiet.Round(time.Second)))
			return
		}
		select {
		case waiting <- struct{}{}:
			go func() {
				defer func() { <-waiting }()
				start := time.Now()
				if _, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil); err == nil {
					counts.answered(time.Since(start))
				}
			}()
		default:
		}
	}
}

func waitError(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// dialer makes connections to one target and remembers what must stay the
// same from one to the next.
type dialer struct {
	target Target
	opts   Options
	creds  *credentials
	counts *counters

	mu      sync.Mutex
	trusted map[string]ssh.PublicKey
}

func newDialer(t Target, o Options) *dialer {
	return &dialer{
		target: t, opts: o, creds: newCredentials(o), counts: &counters{},
		trusted: make(map[string]ssh.PublicKey),
	}
}

// dial connects through all jumps.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	var jumps []*ssh.Client
	fail := func(err error) (*conn, error) {
		for _, j := range jumps {
			_ = j.Close()
		}
		return nil, err
	}
	reach := func(ctx context.Context, address string) (net.Conn, error) {
		return d.opts.Dialer(ctx, "tcp", address)
	}
	for _, t := range d.target.Jumps {
		c, _, err := d.hop(ctx, t, reach)
		if err != nil {
			return fail(fmt.Errorf("jump through %s: %w", t, err))
		}
		jumps = append(jumps, c)
		reach = func(ctx context.Context, address string) (net.Conn, error) {
			return c.DialContext(ctx, "tcp", address)
		}
	}
	c, raw, err := d.hop(ctx, d.target, reach)
	if err != nil {
		return fail(err)
	}
	d.counts.connects.Add(1)
	out := &conn{ssh: c, raw: raw, jumps: jumps, dead: make(chan struct{})}
	go out.watch(d.opts.Keepalive, d.opts.Missed, d.counts)
	return out, nil
}

type reachFunc func(ctx context.Context, address string) (net.Conn, error)

// hop connects and logs in to one target. When the user vouches for a
// fingerprint, the server's keys are tried one type after the other until
// that one turns up.
func (d *dialer) hop(ctx context.Context, t Target, reach reachFunc) (*ssh.Client, *countedConn, error) {
	c, raw, err := d.login(ctx, t, reach, nil)
	var other otherKeyError
	if !errors.As(err, &other) {
		return c, raw, err
	}
	first := err
	for _, keyType := range keyTypes() {
		c, raw, err := d.login(ctx, t, reach, signatures(keyType))
		if !errors.As(err, &other) && !noCommonKey(err) {
			return c, raw, err
		}
	}
	return nil, nil, first
}

func noCommonKey(err error) bool {
	var n *ssh.AlgorithmNegotiationError
	return errors.As(err, &n)
}

func (d *dialer) login(ctx context.Context, t Target, reach reachFunc, keyAlgorithms []string) (*ssh.Client, *countedConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timeout := time.AfterFunc(d.opts.DialTimeout, cancel)
	defer timeout.Stop()
	start := time.Now()
	tcp, err := reach(ctx, t.dialAddress())
	if err != nil {
		return nil, nil, unreachable(t, err)
	}
	d.counts.answered(time.Since(start))
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() })
	raw := newCountedConn(tcp, d.counts)
	pause := func() func() {
		timeout.Stop()
		return func() { timeout.Reset(d.opts.DialTimeout) }
	}
	check, err := newKeyCheck(ctx, t, d.opts, d.trustedKey(t), pause)
	if err != nil {
		_ = tcp.Close()
		return nil, nil, err
	}
	if keyAlgorithms == nil {
		keyAlgorithms = check.algorithms()
	}
	l := &login{creds: d.creds, target: t, ctx: ctx, pause: pause}
	defer l.close()
	sc, chans, reqs, err := ssh.NewClientConn(raw, t.dialAddress(), &ssh.ClientConfig{
		User:              t.User,
		Auth:              l.methods(),
		HostKeyCallback:   check.check,
		HostKeyAlgorithms: keyAlgorithms,
		Config:            ssh.Config{Ciphers: ciphers()},
	})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = tcp.Close()
		return nil, nil, d.explain(t, l, check, err)
	}
	d.trust(t, check.seen)
	return ssh.NewClient(sc, chans, reqs), raw, nil
}

// ciphers puts ChaCha20 first: a Core 2 Duo has no AES instructions.
func ciphers() []string {
	return []string{
		ssh.CipherChaCha20Poly1305, ssh.CipherAES128GCM, ssh.CipherAES256GCM,
		ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR,
	}
}

func (d *dialer) trustedKey(t Target) ssh.PublicKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trusted[t.keyAddress()]
}

func (d *dialer) trust(t Target, key ssh.PublicKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trusted[t.keyAddress()] = key
}
