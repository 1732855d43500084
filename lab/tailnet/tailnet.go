package tailnet

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/tailcfg"
)

// Server is the tailnet. Its methods may be called from anywhere.
type Server struct {
	dir   string
	log   *slog.Logger
	relay *derpserver.Server
	gates map[string]*gate
	book  logBook

	mu      sync.Mutex
	closed  bool // the folder may be another server's by now
	state   *state
	polls   map[tailcfg.NodeID]int // open map polls
	changed chan struct{}          // closed, and made anew, when anything has changed
	tokens  map[string]token       // of the API
	faults  []int                  // what the API answers next instead
}

// Open reads the tailnet that dir keeps, or makes one.
func Open(dir string, log *slog.Logger) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the tailnet: %w", err)
	}
	st, err := readState(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		dir:     dir,
		log:     log,
		state:   st,
		relay:   derpserver.New(st.Relay, func(format string, args ...any) { log.Debug(fmt.Sprintf(format, args...), "part", "relay") }),
		gates:   map[string]*gate{controlPart: newGate(), apiPart: newGate(), relayPart: newGate()},
		polls:   map[tailcfg.NodeID]int{},
		changed: make(chan struct{}),
		tokens:  map[string]token{},
	}
	return s, st.write(dir)
}

// The parts that can be away by themselves.
const (
	controlPart = "control"
	apiPart     = "api"
	relayPart   = "relay"
)

var errClosed = errors.New("the tailnet is closed")

// Close ends every connection. Requests that are still being answered change
// nothing after it: who opens the folder next has it alone.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, g := range s.gates {
		g.set(true)
	}
	return s.relay.Close()
}

// change does something to the tailnet, keeps it and tells all who poll. What
// could not be done changes nothing.
func (s *Server) change(do func(st *state) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if err := do(s.state); err != nil {
		return err
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return s.state.write(s.dir)
}

// now is the time as the control server has it.
func (s *Server) now() time.Time { return time.Now().UTC() }

// connected tells whether a node is here. The lock is held.
func (s *Server) connected(d *device) bool { return s.polls[d.ID] > 0 || d.Held && d.HeldLive }
