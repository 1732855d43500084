package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// script is one shell script to run on the box. Only constant text goes into
// body; everything else is an argument.
type script struct {
	body string
	args []string
	root bool
	// stdin is streamed to the script; nil is an empty input.
	stdin  io.Reader
	stdout io.Writer
	// label is what messages call it.
	label string
	// changes says that it changes the box, so that it waits for the lock to be
	// held over the connection that it uses.
	changes bool
}

// lostError is a connection that ended while a script was under way: nobody
// knows how far it got.
type lostError struct{ cause error }

func (e *lostError) Error() string { return fmt.Sprintf("connection lost: %v", e.cause) }
func (e *lostError) Unwrap() error { return e.cause }

// preamble runs before every script. It tells on stdout where the script's
// output begins and on stderr that sudo is through and under which process ID,
// and gives the script a language that parsers can rely on and the folders of
// the system's tools.
const preamble = `n=$1$2; shift 2; LC_ALL=C; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH; printf '%s\n' "$n"; printf '%s %s\n' "$n" "$$" >&2
`

// line is the command line that starts s.
func (s script) line(sudoWords []string, n nonce) string {
	argv := append(sudoWords, "sh", "-c", preamble+s.body, "ssg-bootstrap", n.a, n.b)
	return quoteAll(append(argv, s.args...))
}

// exec runs s on cn. It returns the script's error output and, for an exit
// status other than 0, a *CommandError.
func (c *Client) exec(ctx context.Context, cn *conn, s script) ([]byte, error) {
	if s.changes {
		if err := c.mayChangeOver(ctx, cn); err != nil {
			return nil, err
		}
	}
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	return c.start(ctx, cn, s)
}

// start is exec without waiting for a free session.
func (c *Client) start(ctx context.Context, cn *conn, s script) ([]byte, error) {
	session, err := openSession(ctx, cn)
	if ctx.Err() != nil && err != nil {
		return nil, fmt.Errorf("%s: %w", s.label, context.Cause(ctx))
	}
	if err != nil {
		return nil, sessionError(cn, err)
	}
	defer session.Close()
	c.dialer.counts.trips.Add(1)
	began := time.Now()
	r, err := c.launch(ctx, session, s)
	if err != nil {
		return nil, sessionError(cn, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	go r.feed()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = c.abandon(ctx, cn, r, s)
	case <-cn.dead:
		err = &lostError{cn.cause}
	}
	r.stop(nil)
	r.stdout.detach()
	stderr, err := r.outcome(ctx, cn, s, err)
	c.opts.Logger.Debug("ran", "command", s.label, "took", time.Since(began), "line", r.line, "error", err)
	return stderr, err
}

// openSession opens a session, patiently: sshd counts one as open for a moment
// after its command ended, and refuses those beyond MaxSessions. Nothing has
// run in a session that was refused.
func openSession(ctx context.Context, cn *conn) (*ssh.Session, error) {
	const patience = 5 * time.Second
	start := time.Now()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		session, err := cn.ssh.NewSession()
		var refusal *ssh.OpenChannelError
		if !errors.As(err, &refusal) || time.Since(start) > patience {
			return session, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// sessionError tells a refused session from a lost connection.
func sessionError(cn *conn, err error) error {
	var refusal *ssh.OpenChannelError
	if errors.As(err, &refusal) {
		return &fault.Error{Code: fault.CommandFailed, Op: "open a session", Err: err, Next: "look at MaxSessions in the box's sshd_config"}
	}
	cn.close(err)
	return &lostError{err}
}

// running is one script under way.
type running struct {
	client  *Client
	ctx     context.Context
	stop    context.CancelCauseFunc
	session *ssh.Session
	stdin   io.WriteCloser
	stdout  *detachable
	talk    *talk
	payload io.Reader
	// asks says that sudo is in between and may want a password.
	asks bool
	// line is the length of the command line, in bytes: most of what is sent.
	line int
}

func (c *Client) launch(ctx context.Context, session *ssh.Session, s script) (*running, error) {
	n := newNonce()
	var words []string
	prompt := ""
	if s.root {
		if words = c.sudo.command(n.b + ":"); words != nil {
			prompt = n.b + ":"
		}
	}
	r := &running{client: c, session: session, stdout: &detachable{w: s.stdout, start: []byte(n.joined() + "\n")}, talk: newTalk(n.joined(), prompt), payload: s.stdin, asks: prompt != ""}
	r.ctx, r.stop = context.WithCancelCause(ctx)
	var err error
	if r.stdin, err = session.StdinPipe(); err != nil {
		r.stop(err)
		return nil, err
	}
	session.Stdout, session.Stderr = r.stdout, r.talk
	line := s.line(words, n)
	r.line = len(line)
	if err := session.Start(line); err != nil {
		r.stop(err)
		return nil, err
	}
	return r, nil
}

// feed answers sudo's questions and then streams the script's input. The
// input waits until the script says that it runs, so that no byte of it can
// be taken for a password.
func (r *running) feed() {
	if !r.asks {
		r.stream()
		return
	}
	for last := (secrets.Value{}); r.awaitPrompt(); {
		select {
		case <-r.talk.started:
			r.stream()
			return
		default:
			last = r.answer(last)
		}
	}
}

// awaitPrompt waits for sudo to ask or for the script to run; false when
// neither will happen.
func (r *running) awaitPrompt() bool {
	select {
	case <-r.talk.asked:
		return true
	case <-r.talk.started:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// answer gives sudo a password and returns it.
func (r *running) answer(rejected secrets.Value) secrets.Value {
	p, err := r.client.sudo.password(r.ctx, rejected)
	if err != nil {
		r.stop(err)
		_ = r.session.Close()
		return rejected
	}
	// If this fails, Wait says why.
	_, _ = io.WriteString(r.stdin, p.Reveal()+"\n")
	return p
}

func (r *running) stream() {
	if r.payload != nil {
		// A write fails when the command ends before it has read all; its
		// exit status says more than that.
		_, _ = io.CopyBuffer(struct{ io.Writer }{r.stdin}, struct{ io.Reader }{r.payload}, make([]byte, 32<<10))
	}
	_ = r.stdin.Close()
}

// abandon ends what ctx gave up on. Closing the session ends what reads from
// it or writes to it; the signal ends the rest.
func (c *Client) abandon(ctx context.Context, cn *conn, r *running, s script) error {
	// A script that is just starting is known by its process ID in a moment,
	// and without it nobody could end it.
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-r.talk.started:
	case <-cn.dead:
	case <-t.C:
	}
	_ = r.session.Close()
	if pid, ok := r.talk.began(); ok && cn.alive() {
		c.kill(cn, pid, s.root)
	}
	return context.Cause(ctx)
}

const killScript = `set -- $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null); if [ -n "$3" ]; then kill -TERM "-$3"; fi`

// kill ends the process group of an abandoned command, without waiting long
// for a box that may be slow.
func (c *Client) kill(cn *conn, pid string, root bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	go func() {
		defer cancel()
		_, err := c.start(ctx, cn, script{body: killScript, args: []string{pid}, root: root, label: "end process " + pid})
		if err != nil {
			c.opts.Logger.Debug("could not end an abandoned command", "pid", pid, "error", err)
		}
	}()
}

// outcome makes the script's result of how its session ended.
func (r *running) outcome(ctx context.Context, cn *conn, s script, err error) ([]byte, error) {
	if cause := context.Cause(r.ctx); cause != nil && !errors.Is(cause, context.Canceled) && ctx.Err() == nil {
		return nil, r.withTalk(cause)
	}
	var exit *ssh.ExitError
	_, began := r.talk.began()
	switch {
	case err == nil && began:
		return r.talk.said(), nil
	case err == nil:
		return nil, r.neverBegan(s, 0)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", s.label, context.Cause(ctx))
	case !errors.As(err, &exit):
		cn.closeIfSilent(err)
		return nil, &lostError{err}
	}
	if !began {
		return nil, r.neverBegan(s, exit.ExitStatus())
	}
	status := exit.ExitStatus()
	if exit.Signal() != "" {
		status = 128 + 15
	}
	stderr := r.talk.said()
	return stderr, failed(s.label, status, stderr)
}

// closeIfSilent ends a connection whose session broke without an exit status.
// That also happens when only the command was killed, so one more sign of
// life keeps the connection.
func (c *conn) closeIfSilent(cause error) {
	if !c.alive() {
		return
	}
	answered := make(chan error, 1)
	go func() {
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		answered <- err
	}()
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case err := <-answered:
		if err != nil {
			c.close(cause)
		}
	case <-t.C:
		c.close(cause)
	}
}

// withTalk adds to a refusal what sudo said.
func (r *running) withTalk(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Evidence == "" {
		f.Evidence = r.talk.sudoSaid()
	}
	return err
}

// neverBegan is a session that ended before the script could say a word.
func (r *running) neverBegan(s script, status int) error {
	said := r.talk.sudoSaid()
	if !s.root || r.client.sudo.user == "root" {
		return failed(s.label, status, []byte(said))
	}
	why := "sudo refused"
	if status == 127 {
		why = "there is no sudo on the box"
	}
	err := r.client.sudo.refused(why)
	return r.withTalk(err)
}

// failed is a command that ran and did not succeed, by what it said.
func failed(label string, status int, stderr []byte) error {
	text := strings.TrimSpace(string(stderr))
	code := fault.CommandFailed
	switch {
	case strings.Contains(text, "No space left on device"), strings.Contains(text, "Disk quota exceeded"):
		code = fault.DiskFull
	case strings.Contains(text, "Read-only file system"):
		code = fault.ReadOnlyFS
	}
	return &fault.Error{
		Code:     code,
		Err:      &CommandError{Command: label, Exit: status, Stderr: text},
		Evidence: lastLines(text, 20),
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
