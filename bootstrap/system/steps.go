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

// The steps' names.
const (
	ClockID    step.ID = "clock"
	ModulesID  step.ID = "kernel-modules"
	SysctlsID  step.ID = "sysctls"
	ZramID     step.ID = "zram"
	JournaldID step.ID = "journald"
	FirewallID step.ID = "firewall"
	// ClusterID is only there on a box that is not alone.
	ClusterID step.ID = "cluster-record"
)

// Input is what the steps are made from.
type Input struct {
	Spec  spec.Spec
	Facts facts.Facts
}

// Steps returns the base system's steps. The clock comes before all others,
// because whatever is written or signed under a wrong one carries a wrong date;
// the modules come before the sysctls, because some exist only with a module.
func Steps(in Input) []step.Step {
	s := in.Spec.Profile.System
	steps := []step.Step{
		step.Of(clock{}),
		step.Of(newModules(in.Facts)),
		step.Of(newSysctls(s.Sysctls)),
	}
	if s.Zram.Percent > 0 && in.Facts.Modules["zram"] != facts.ModuleMissing {
		steps = append(steps, step.Of(newZram(s.Zram, in.Facts.Memory.Total)))
	}
	if len(s.Journald) > 0 {
		steps = append(steps, step.Of(newJournald(s.Journald)))
	}
	return append(steps, Cluster(in.Facts.Cluster)...)
}

// Cluster returns the steps that follow from who else is in the cluster. The
// record comes first: a run that breaks off after it is gone on with by the
// box's own next install.
func Cluster(c facts.Cluster) []step.Step {
	guard := step.Of(newFirewall(c))
	if c.Alone() {
		return []step.Step{guard}
	}
	return []step.Step{step.Of(newMembers(c)), step.Behind(guard, ClusterID)}
}

// IDs returns the names of the steps, for those that need the whole base
// system to be in place.
func IDs(in Input) []step.ID {
	var out []step.ID
	for _, s := range Steps(in) {
		out = append(out, s.ID())
	}
	return out
}
