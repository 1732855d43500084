// Package system prepares the operating system under k3s.
//
// It keeps the promise that each setting is made once, in a file of our own
// that says so, is live as well as written, and reloads only what changed; the
// owner's SSH access is never at risk.
package system

import (
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// Input is what the steps are made from.
type Input struct {
	Spec  spec.Spec
	Facts facts.Facts
}

// Steps returns the base system's steps in the order in which they matter.
func Steps(in Input) []step.Step {
	return nil
}
