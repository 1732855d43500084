package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// lockScript holds the box's lock as long as it hears a beat on its input.
// When the client dies, its input ends; when the link dies without a word,
// the beats do. flock lets go of the lock with the process, so nothing is
// left to clean up. All of it is under /run ($4): a box that was switched off is
// never locked.
const lockScript = `set -e
umask 022
d=$4
mkdir -p "$d"
s=0
flock -n -E 75 "$d/lock" sh -c "$1" sh "$d" "$2" "$3" || s=$?
if [ "$s" = 75 ]; then
	echo busy
	stat -c %.9Y "$d/beat" || echo 0
	cat "$d/holder" || :
fi`

const holdScript = `printf '%s\n' "$2" >"$1/holder"; echo . >"$1/beat"; echo held
while [ -n "$(timeout "$3" head -c 1)" ]; do echo . >"$1/beat"; done
rm -f "$1/holder"`

// missedBeats is how many beats may fail to come before the box lets go.
const missedBeats = 4

// lockState is what the client knows of its lock on the box.
type lockState struct {
	mu     sync.Mutex
	wanted bool
	// over is the connection that it is held over; nil while it is lost.
	over    *conn
	err     error
	changed chan struct{}
}

func (l *lockState) set(wanted bool, over *conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted, l.over, l.err = wanted, over, err
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// look tells whether changes may be made: over a certain connection, or over any
// for nil.
func (l *lockState) look(over *conn) (may bool, err error, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return !l.wanted || l.over != nil && (over == nil || over == l.over), l.err, l.changed
}

// mayChange holds changes back while a lost lock is being won back, and fails
// when somebody else has it.
func (c *Client) mayChange(ctx context.Context) error {
	for {
		may, err, changed := c.lock.look(nil)
		if may || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// mayChangeOver is mayChange for one connection: a new one is there before the
// lock is won back over it, and a change that the old one has lost must not be
// made over it meanwhile.
func (c *Client) mayChangeOver(ctx context.Context, cn *conn) error {
	for {
		may, err, changed := c.lock.look(cn)
		if may || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-cn.dead:
			return &lostError{cn.cause}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Lock takes the box's lock for this run. holder says who runs, for the one
// who comes second. The lock lives as long as this client: it is won back
// after a reconnect, and when another run took it in between, everything that
// would change the box fails with fault.Locked. release may be called more
// than once.
func (c *Client) Lock(ctx context.Context, holder string) (release func(), err error) {
	id := newNonce().joined()
	h, err := c.acquire(ctx, holder, id)
	if err != nil {
		return nil, err
	}
	c.lock.set(true, h.over, nil)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.keep(ctx, h, holder, id)
	}()
	var once sync.Once
	return func() {
		once.Do(func() {
			stop()
			<-done
			c.lock.set(false, nil, nil)
		})
	}, nil
}

// keep holds the lock until ctx ends and wins it back after each break.
func (c *Client) keep(ctx context.Context, h *holding, holder, id string) {
	for {
		select {
		case <-ctx.Done():
			h.release()
			return
		case <-h.ended:
		}
		c.lock.set(true, nil, nil)
		var err error
		if h, err = c.acquire(ctx, holder, id); err != nil {
			if ctx.Err() == nil {
				c.lock.set(true, nil, fmt.Errorf("win the lock back: %w", err))
			}
			return
		}
		c.lock.set(true, h.over, nil)
	}
}

// acquire takes the lock. When it is taken, it watches for a sign of life of
// the holder: one that lives keeps the lock, and one that died loses it soon.
func (c *Client) acquire(ctx context.Context, holder, id string) (*holding, error) {
	var stamp string
	for n := 0; ; n++ {
		h, busy, err := c.grab(ctx, holder+"\n"+id)
		if err != nil || h != nil {
			return h, err
		}
		ours := busy.id == id
		alive := stamp != "" && busy.beat != stamp
		if (alive && !ours) || n > 4*missedBeats {
			return nil, busy.fault(c.target)
		}
		if stamp == "" && !ours {
			c.opts.Events("the box is locked by " + busy.holder + "; looking whether that run still lives")
		}
		stamp = busy.beat
		if err := sleep(ctx, c.opts.LockBeat/2); err != nil {
			return nil, err
		}
	}
}

// taken is somebody's lock.
type taken struct{ holder, id, beat string }

func (t taken) fault(target Target) error {
	return &fault.Error{
		Code:     fault.Locked,
		Op:       "lock " + target.Name,
		Err:      errors.New("another run is at work on it"),
		Evidence: t.holder,
	}
}

// parseTaken reads what lockScript says after "busy".
func parseTaken(text string) taken {
	beat, rest, _ := strings.Cut(text, "\n")
	rest = strings.TrimSpace(rest)
	t := taken{beat: beat, holder: rest}
	if i := strings.LastIndexByte(rest, '\n'); i >= 0 {
		t.holder, t.id = rest[:i], rest[i+1:]
	}
	if t.holder == "" {
		t.holder = "a run that has not said its name yet"
	}
	return t
}

// grab tries once. It returns either the lock or who has it.
func (c *Client) grab(ctx context.Context, record string) (*holding, taken, error) {
	for n := 1; ; n++ {
		cn, err := c.live(ctx)
		if err != nil {
			return nil, taken{}, err
		}
		h := c.hold(ctx, cn, record)
		select {
		case <-h.out.held:
			return h, taken{}, nil
		case <-h.ended:
		case <-ctx.Done():
			h.release()
			return nil, taken{}, context.Cause(ctx)
		}
		if rest, busy := strings.CutPrefix(h.out.text(), "busy\n"); busy && h.err == nil {
			return nil, parseTaken(rest), nil
		}
		var lost *lostError
		switch {
		case h.err == nil:
			return nil, taken{}, failed("lock the box", 1, []byte(h.out.text()))
		case !errors.As(h.err, &lost) || ctx.Err() != nil:
			return nil, taken{}, h.err
		case n == attempts:
			return nil, taken{}, linkLost("lock the box", lost)
		}
	}
}

// holding is one session that holds the lock, or tried to.
type holding struct {
	over  *conn
	beats *beats
	out   *heldOutput
	ended chan struct{}
	err   error
}

func (c *Client) hold(ctx context.Context, cn *conn, record string) *holding {
	h := &holding{
		over: cn, beats: newBeats(c.opts.LockBeat), out: &heldOutput{held: make(chan struct{})}, ended: make(chan struct{}),
	}
	expiry := strconv.FormatFloat((missedBeats * c.opts.LockBeat).Seconds(), 'f', 3, 64)
	s := script{
		body: lockScript, args: []string{holdScript, record, expiry, c.opts.RunDir}, root: true,
		stdin: h.beats, stdout: h.out, label: "lock the box",
	}
	go func() {
		defer close(h.ended)
		defer h.beats.end()
		// The session must outlive ctx: release ends it in an orderly way.
		_, h.err = c.start(context.WithoutCancel(ctx), cn, s)
	}()
	return h
}

// release lets go of the lock and waits until the box has, but not long for a
// box that is gone; there it expires.
func (h *holding) release() {
	h.beats.end()
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-h.ended:
	case <-t.C:
	}
}

// beats is an input that gives a dot at regular intervals until it is ended.
type beats struct {
	tick *time.Ticker
	once sync.Once
	done chan struct{}
}

func newBeats(every time.Duration) *beats {
	return &beats{tick: time.NewTicker(every), done: make(chan struct{})}
}

func (b *beats) Read(p []byte) (int, error) {
	select {
	case <-b.done:
		return 0, io.EOF
	case <-b.tick.C:
		p[0] = '.'
		return 1, nil
	}
}

func (b *beats) end() {
	b.once.Do(func() {
		b.tick.Stop()
		close(b.done)
	})
}

// heldOutput waits for the word that the lock is held.
type heldOutput struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	held chan struct{}
	once sync.Once
}

func (o *heldOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(p)
	if strings.HasPrefix(o.buf.String(), "held\n") {
		o.once.Do(func() { close(o.held) })
	}
	return len(p), nil
}

func (o *heldOutput) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
