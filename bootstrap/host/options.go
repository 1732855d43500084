package host

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Prompter asks the user. It returns fault.NeedsAnswer when there is nobody to
// ask.
type Prompter interface {
	// Confirm asks a question that is answered by yes or no.
	Confirm(ctx context.Context, question string) (bool, error)
	// Secret asks for a secret, without showing it.
	Secret(ctx context.Context, what string) (secrets.Value, error)
}

// Options are what Connect may use. The zero value asks nobody, uses no agent
// and gives up reconnecting after two minutes.
type Options struct {
	// Prompter may be nil.
	Prompter Prompter
	// Logger is told of every command, without its input; nil for silence.
	Logger *slog.Logger
	// AgentSocket is the path of the SSH agent, usually SSH_AUTH_SOCK's value.
	AgentSocket string
	// SSHPassword and SudoPassword are used before anybody is asked.
	SSHPassword  secrets.Value
	SudoPassword secrets.Value
	// Dialer makes the first TCP connection; nil for the network's.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// DialTimeout bounds TCP connect and SSH handshake together; 0 means 30 s.
	DialTimeout time.Duration
	// Keepalive is how often the box is asked for a sign of life, 0 means 5 s;
	// after Missed questions without one (0 means 3) the connection is closed.
	Keepalive time.Duration
	Missed    int
	// ReconnectStall is how long a lost box is looked for; 0 means 2 min.
	ReconnectStall time.Duration
	// SendStall is how long an upload may stand still; 0 means 2 min.
	SendStall time.Duration
	// LockBeat is how often a held lock says that its holder lives, 0 means
	// 5 s; without a beat for four times as long the box lets go of it.
	LockBeat time.Duration
	// JobPoll is how often a job is looked at on the box; 0 means 1 s.
	JobPoll time.Duration
	// StateDir and RunDir are the folders on the box for what outlives a boot
	// and what does not; empty for the usual ones.
	StateDir, RunDir string
	// Events is told in a few words what the user should know, as in
	// "connection lost, reconnecting (12 s)"; it may be nil.
	Events func(text string)
}

// Stats counts what went over the link.
type Stats struct {
	BytesIn, BytesOut int64
	// RoundTrips is how many commands were started; Connects how often the
	// connection was made.
	RoundTrips, Connects int
	// RTT is the shortest answer time of the box seen so far.
	RTT time.Duration
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.DialTimeout, 30*time.Second)
	set(&o.Keepalive, 5*time.Second)
	set(&o.ReconnectStall, 2*time.Minute)
	set(&o.SendStall, 2*time.Minute)
	set(&o.LockBeat, 5*time.Second)
	set(&o.JobPoll, time.Second)
	if o.StateDir == "" {
		o.StateDir = "/var/lib/ssg-bootstrap"
	}
	if o.RunDir == "" {
		o.RunDir = "/run/ssg-bootstrap"
	}
	if o.Missed == 0 {
		o.Missed = 3
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = func(string) {}
	}
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	return o
}
