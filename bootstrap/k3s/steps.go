// Package k3s installs k3s as its own install script would lay it out, and
// follows it until it serves.
//
// It keeps the promise that k3s restarts exactly when something that its
// process loads has changed its meaning, that its slow first start is awaited
// rather than timed, and that a k3s which somebody else configured is shown
// and not touched.
package k3s

import (
	"context"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/system"
)

// The steps' names.
const (
	BinaryID step.ID = "k3s-binary"
	ImagesID step.ID = "k3s-images"
	ConfigID step.ID = "k3s-config"
	UnitID   step.ID = "k3s-unit"
	ServerID step.ID = "k3s-server"
	PodsID   step.ID = "k3s-system-pods"
	AgentID  step.ID = "k3s-agent"
)

// Store is where release files come from; *artifact.Store is one.
type Store interface {
	Resolve(ctx context.Context, ref artifact.Ref) (artifact.Artifact, error)
	Fetch(ctx context.Context, a artifact.Artifact, p host.Progress) (localPath string, err error)
}

// Names tell under which further names the box is reached. They are known only
// once a step has been applied that is not k3s's.
type Names interface {
	// After is that step, Sends the one on the link that it waits for.
	After() step.ID
	Sends() step.ID
	// Query asks for what Read reads. Read returns step.ErrDeferred while the
	// names cannot be known.
	Query() host.Command
	Read(answer []byte) ([]string, error)
}

// Input is what the steps are made from.
type Input struct {
	Spec  spec.Spec
	Facts facts.Facts
	Store Store
	// Names is nil where all names are in the Spec.
	Names Names
}

// Steps returns k3s's steps in the order in which they matter. The server
// starts as soon as its program is there; the images follow on the link while
// it comes up, and the pods need both.
func Steps(in Input) []step.Step {
	p := in.Spec.Profile
	r := newRelease(in.Store, p.K3s.Version)
	l := newLoaded(in.Spec).among(in.Facts)
	base := system.IDs(system.Input{Spec: in.Spec, Facts: in.Facts})
	server := server{
		release: r, loaded: l, names: in.Names, node: in.Spec.NodeName, waits: p.Waits,
		needs: append(base, BinaryID, ConfigID, UnitID),
	}
	return []step.Step{
		step.Of(newBinary(r, checkDowngrade)),
		step.Of(newImages(r, in.Names)),
		step.Of(configuration{l, in.Names}),
		step.Of(unit{serverKind}),
		step.Of(server),
		step.Of(systemPods{server: server, disabled: p.K3s.Disable, waits: p.Waits}),
	}
}
