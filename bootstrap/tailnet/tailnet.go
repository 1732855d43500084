// Package tailnet makes the box a node of a tailnet and keeps it one.
//
// It keeps the promise that a node which has joined is never given a key: what
// is to be done follows from what tailscaled says of itself, and a key goes to
// the box only where there is no other way in, in a file that nobody else can
// read and that is gone when the attempt is over. A device that is connected is
// never removed to make room.
package tailnet

import (
	"context"
	"net/http"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/system"
)

// The steps' names.
const (
	BinaryID  step.ID = "tailnet-binary"
	ServiceID step.ID = "tailnet-service"
	NodeID    step.ID = "tailnet-node"
)

// StateFile is all that a node is: its keys, and with them its name and its
// addresses. Put back with mode 0600 before tailscaled first starts, it makes
// another disk the same node; two copies must never run at once.
const StateFile = "/var/lib/tailscale/tailscaled.state"

// Where the other things are on the box: Tailscale's own places, so that a
// later package takes them over.
const (
	daemonPath   = "/usr/sbin/tailscaled"
	clientPath   = "/usr/bin/tailscale"
	unitName     = "tailscaled.service"
	unitPath     = "/usr/lib/systemd/system/" + unitName
	limitsDir    = "/etc/systemd/system/" + unitName + ".d"
	limitsPath   = limitsDir + "/10-ssg-bootstrap.conf"
	defaultsPath = "/etc/default/tailscaled"
	socketPath   = "/run/tailscale/tailscaled.sock"
	ourDir       = "/var/lib/ssg-bootstrap"
	ourRunDir    = "/run/ssg-bootstrap"
	tarballPath  = ourDir + "/tailscale.tgz"
	recordPath   = ourDir + "/tailscale.record"
	// digestPath says what tailscaled would load if it started now,
	// runDigestPath what the process that runs has loaded.
	digestPath    = ourDir + "/tailscaled.digest"
	runDigestPath = ourRunDir + "/tailscaled.digest"
	// settingsPath holds the flags of the last `tailscale up` that succeeded.
	settingsPath = ourDir + "/tailnet.settings"
	keyPrefix    = ourRunDir + "/tailnet-key."
)

// Store is where release files come from; *artifact.Store is one.
type Store interface {
	Release(ctx context.Context, name, version string) (string, error)
	Resolve(ctx context.Context, ref artifact.Ref) (artifact.Artifact, error)
	Fetch(ctx context.Context, a artifact.Artifact, p host.Progress) (localPath string, err error)
}

// Credential lets a box join: a key that somebody made, or an OAuth client,
// which makes keys and may look at the tailnet's devices. With both, the client
// is used.
type Credential struct {
	AuthKey      secrets.Value
	ClientID     string
	ClientSecret secrets.Value
}

// OAuth reports whether the credential is an OAuth client.
func (c Credential) OAuth() bool { return !c.ClientSecret.Empty() }

// Credentials are asked for only when a box has to join. must says that there
// is no going on without one; otherwise an empty one is an answer.
type Credentials func(ctx context.Context, must bool) (Credential, error)

// Input is what the steps are made from. Spec.Tailnet is not nil.
type Input struct {
	Spec        spec.Spec
	Facts       facts.Facts
	Store       Store
	Credentials Credentials
	// HTTP reaches the API; nil is a client that takes the proxy from the
	// environment.
	HTTP *http.Client
}

// Steps returns the tailnet's steps. The box joins before k3s starts for the
// first time, so that the API's certificate holds the tailnet's name and
// addresses from the beginning and nothing has to restart.
func Steps(in Input) []step.Step {
	r := newRelease(in.Store, in.Spec.Tailnet.Version)
	return []step.Step{
		step.Of(binary{r}),
		step.Of(service{r, in.Spec.Profile.Tailnet}),
		step.Of(newNode(in, ServiceID, system.ClockID)),
	}
}
