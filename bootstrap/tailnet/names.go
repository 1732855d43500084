package tailnet

import (
	"net/netip"
	"sync"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// Names are the names and addresses under which the tailnet knows the box, for
// the certificate of its API.
type Names struct {
	mu    sync.Mutex
	known []string
}

// NewNames returns the names of one run's box. What was found out once holds
// for the rest of the run: a tailscaled that is away for a moment does not take
// a certificate's names away.
func NewNames() *Names { return &Names{} }

// After is the step after which the names are known.
func (n *Names) After() step.ID { return NodeID }

// Sends is the step whose transfer that one waits for.
func (n *Names) Sends() step.ID { return BinaryID }

// Query asks for what Read reads.
func (n *Names) Query() host.Command { return statusQuery() }

// Read returns the names, none for a box that is in no tailnet yet, and
// step.ErrDeferred for one whose tailscaled has to come back first.
func (n *Names) Read(answer []byte) ([]string, error) {
	s, err := parseSeen(answer)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if found := names(s); len(found) > 0 {
		n.known = found
	}
	switch {
	case len(n.known) > 0:
		return n.known, nil
	case s.fresh():
		return nil, nil
	}
	return nil, step.ErrDeferred
}

// fresh reports whether the box never was in a tailnet.
func (s seen) fresh() bool {
	if s.daemon == nil {
		return !s.kept
	}
	return !s.daemon.HaveNodeKey && (s.daemon.BackendState == stateNeedsLogin || s.daemon.BackendState == stateNone)
}

func names(s seen) []string {
	if !s.daemon.running() {
		return nil
	}
	var out []string
	if full := s.daemon.fullName(); full != "" {
		out = append(out, full, s.daemon.name())
	}
	for _, a := range s.daemon.addresses() {
		if _, err := netip.ParseAddr(a); err == nil {
			out = append(out, a)
		}
	}
	return out
}
