package step

import "slices"

// Behind returns s with further needs: what is told only now must come first.
func Behind(s Step, needs ...ID) Step { return behind{s, needs} }

type behind struct {
	Step
	more []ID
}

// Needs returns the step's own needs and the further ones.
func (b behind) Needs() []ID { return slices.Concat(b.Step.Needs(), b.more) }
