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
)

// Store is where release files come from; *artifact.Store is one.
type Store interface {
	Resolve(ctx context.Context, ref artifact.Ref) (artifact.Artifact, error)
	Fetch(ctx context.Context, a artifact.Artifact, p host.Progress) (localPath string, err error)
}

// Input is what the steps are made from.
type Input struct {
	Spec  spec.Spec
	Facts facts.Facts
	Store Store
}

// Steps returns k3s's steps in the order in which they matter.
func Steps(in Input) []step.Step {
	return nil
}
