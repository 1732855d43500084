package tailnet

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

// node is the box's membership in the tailnet.
type node struct {
	want        want
	conf        spec.Tailnet
	needs       []step.ID
	credentials Credentials
	http        *http.Client
	// serving says that a k3s runs, which takes in the node's name and
	// addresses by a restart.
	serving bool
}

// controlServer is Tailscale's own.
const controlServer = "https://controlplane.tailscale.com"

func newNode(in Input, needs ...step.ID) node {
	conf := *in.Spec.Tailnet
	conf.LoginServer = strings.TrimRight(cmp.Or(conf.LoginServer, controlServer), "/")
	return node{
		want:  want{name: conf.Hostname, tags: conf.Tags, settings: strings.Join(settings(conf), " ")},
		conf:  conf,
		needs: needs, credentials: in.Credentials, http: in.HTTP, serving: in.Facts.K3s.Active,
	}
}

// settings are the flags of `tailscale up`, all of them each time: it refuses
// to run with fewer than what is set. The tailnet's DNS is not taken, because
// the cluster's resolver would inherit it.
func settings(conf spec.Tailnet) []string {
	return []string{
		"--login-server=" + conf.LoginServer,
		"--hostname=" + conf.Hostname,
		"--advertise-tags=" + strings.Join(conf.Tags, ","),
		"--accept-dns=false",
	}
}

func (n node) ID() step.ID      { return NodeID }
func (n node) Title() string    { return "Tailnet" }
func (n node) Needs() []step.ID { return n.needs }
func (n node) Lane() step.Lane  { return step.LaneBox }

func (n node) Observe(ctx context.Context, r host.Reader) (seen, error) {
	out, err := r.Query(ctx, statusQuery())
	if err != nil {
		return seen{}, err
	}
	return parseSeen(out)
}

func (n node) object() string { return "node " + n.want.name }

// joinTypical is what joining takes besides its transfer, an estimate.
const joinTypical = 5 * time.Second

// Diff tells the changes of one decision; what follows from the state after it
// is decided while it is applied.
func (n node) Diff(s seen) ([]step.Change, error) {
	var out []step.Change
	for _, f := range s.leftovers {
		out = append(out, step.Change{Verb: step.Remove, Object: f, Why: "a key that an earlier attempt left"})
	}
	d := decide(s, n.want)
	c := step.Change{Object: n.object(), Why: d.why, Work: joinTypical}
	switch d.action {
	case nothing:
		return out, nil
	case refuse:
		return nil, fault.New(fault.TailnetRefused, "run `sudo tailscale status` on the box", "%s %s", n.object(), d.why)
	case join:
		c.Verb = step.Create
		c.Why += "; joins with " + list(n.want.tags)
		if n.serving {
			c.Restarts = "k3s"
			c.Why += ", and k3s's certificate takes in its name"
		}
	case comeBack, renew:
		c.Verb = step.Start
	case adjust, retag:
		c.Verb = step.Update
	case approve:
		c.Verb = step.Enable
	case await:
		c.Verb = step.Wait
	}
	return append(out, c), nil
}

// rounds is how many actions in a row may lead to a joined node: come back,
// find that the key is no longer accepted, join, be approved, be given the tags.
const rounds = 8

func (n node) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if err := n.sweep(ctx, r.Host, changes); err != nil {
		return err
	}
	var last decision
	for range rounds {
		s, err := n.answer(ctx, r)
		if err != nil {
			return err
		}
		d := decide(s, n.want)
		if d.action == nothing {
			n.tellName(r, s)
			return nil
		}
		if d == last && d.action != await {
			break // it did what it can, and nothing has changed
		}
		if last = d; d.why != "" {
			r.Note(d.why)
		}
		if err := n.act(ctx, r, s, d); err != nil {
			return err
		}
	}
	return fault.New(fault.TailnetRefused, "run `sudo tailscale status` on the box", "%s does not get any further: %s", n.object(), last.why)
}

func (n node) act(ctx context.Context, r step.Run, s seen, d decision) error {
	switch d.action {
	case join:
		return n.join(ctx, r, s)
	case comeBack, adjust:
		return n.up(ctx, r, secrets.Value{})
	case renew:
		if err := restart(ctx, r); err != nil {
			return err
		}
		if _, err := n.answer(ctx, r); err != nil {
			return err
		}
		return n.up(ctx, r, secrets.Value{})
	case approve:
		return n.approve(ctx, s)
	case retag:
		return n.retag(ctx, s)
	case await:
		return n.await(ctx, r)
	}
	return fault.New(fault.TailnetRefused, "run `sudo tailscale status` on the box", "%s %s", n.object(), d.why)
}

// sweep removes keys that an attempt left which was cut off.
func (n node) sweep(ctx context.Context, h host.Host, changes []step.Change) error {
	argv := []string{"rm", "-f"}
	for _, c := range changes {
		if c.Verb == step.Remove && strings.HasPrefix(c.Object, keyPrefix) {
			argv = append(argv, c.Object)
		}
	}
	if len(argv) == 2 {
		return nil
	}
	if _, err := h.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("remove a key: %w", err)
	}
	return nil
}

// answer waits until tailscaled says anything.
func (n node) answer(ctx context.Context, r step.Run) (seen, error) {
	var s seen
	err := n.until(ctx, r, "tailscaled to answer", serviceStall, func() (wait.State, error) {
		if s.daemon != nil {
			return wait.State{Done: true, Seen: "tailscaled answers"}, nil
		}
		return wait.State{Seen: cmp.Or(s.says, "tailscaled does not answer yet")}, nil
	}, &s)
	return s, err
}

// connectStall is how long a node may be on its way without any news: a relay
// that answers is found in seconds.
const connectStall = time.Minute

// await waits for a node that is on its way in. One that stays there finds no
// relay: without a DERP server a node does not come up.
func (n node) await(ctx context.Context, r step.Run) error {
	var s seen
	err := n.until(ctx, r, n.object()+" to connect", connectStall, func() (wait.State, error) {
		if d := s.daemon; d != nil && d.BackendState != stateStarting && (d.BackendState != stateRunning || d.Self != nil) {
			return wait.State{Done: true, Seen: "tailscaled is " + d.BackendState}, nil
		}
		return wait.State{Seen: "tailscaled is connecting" + health(s)}, nil
	}, &s)
	if fault.CodeOf(err) == fault.WaitStalled {
		return n.unreachable(s, err)
	}
	return err
}

func (n node) until(ctx context.Context, r step.Run, what string, stall time.Duration, judge func() (wait.State, error), s *seen) error {
	return wait.Until(ctx, wait.Condition{
		What: what, Every: probeEvery, Box: probeBox, Stall: stall,
		Next: "read `journalctl -u tailscaled` on the box, then run the same command again",
	}, func(ctx context.Context) (wait.State, error) {
		var err error
		if *s, err = n.Observe(ctx, r.Host); err != nil {
			return wait.State{}, err
		}
		return judge()
	})
}

// tellName says so where the tailnet gave the node another name than the one
// that was asked for.
func (n node) tellName(r step.Run, s seen) {
	switch got := s.daemon.name(); {
	case got == "":
	case got == n.want.name:
		r.Note("joined as " + s.daemon.fullName())
	default:
		r.Note(otherName(n.want.name, got))
	}
}

func otherName(wanted, got string) string {
	return fmt.Sprintf("the tailnet calls it %s, because another device holds the name %s", got, wanted)
}

func health(s seen) string {
	if s.daemon == nil || len(s.daemon.Health) == 0 {
		return ""
	}
	return ": " + clean(strings.Join(s.daemon.Health, "; "))
}
