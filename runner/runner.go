// Package runner makes the box a GitHub Actions runner.
//
// It keeps the promise that at the end GitHub sees exactly one runner of the
// name, online, whatever was there before; that one at work is never touched;
// that its jobs can deploy the application and nothing else, neither as root
// nor as the cluster's administrator; and that what GitHub gave for registering
// it is seen by nobody.
package runner

import (
	"context"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
	"github.com/omkar619-dev/ssg-bootstrap/runner/github"
)

// The steps' names.
const (
	PackagesID step.ID = "runner-packages"
	UserID     step.ID = "runner-user"
	AccessID   step.ID = "runner-access"
	HelmID     step.ID = "runner-helm"
	ArchiveID  step.ID = "runner-archive"
	ServiceID  step.ID = "runner-service"
)

// Store is where files come from; *artifact.Store is one.
type Store interface {
	Resolve(ctx context.Context, ref artifact.Ref) (artifact.Artifact, error)
	Vouched(ctx context.Context, ref artifact.Ref, at, sha256 string) (artifact.Artifact, error)
	Fetch(ctx context.Context, a artifact.Artifact, p host.Progress) (localPath string, err error)
}

// GitHub is what is asked of it; *github.Client is one.
type GitHub interface {
	HasToken() bool
	Repository() string
	Private(ctx context.Context) (bool, error)
	Download(ctx context.Context) (github.Download, error)
	Runner(ctx context.Context, name string) (*github.Runner, error)
	RegistrationToken(ctx context.Context) (secrets.Value, error)
	Delete(ctx context.Context, id int64) error
	Deprecation(ctx context.Context, version string) (github.Deprecation, bool, error)
}

// Input is what the steps are made from.
type Input struct {
	Want   spec.Runner
	Limits profiles.Runner
	// Namespace and Release are those of the application that jobs deploy.
	Namespace, Release string
	Store              Store
	GitHub             GitHub
	// Needs come before anything that takes the link: the application serves
	// before the runner arrives.
	Needs []step.ID
	// Stall is how long silence may last where the box works.
	Stall time.Duration
	// Every is the pause between two looks at GitHub while waiting; 0 is three
	// seconds.
	Every time.Duration
	// Tell says something that belongs to no step; it may be nil.
	Tell func(text string)
}

// Steps returns the runner's steps. The large archive comes last of all that is
// sent, because nobody waits for it.
func Steps(in Input) []step.Step {
	in = in.withDefaults()
	a := &answers{in: in}
	return []step.Step{
		step.Of(packages{in}),
		step.Of(user{}),
		step.Of(access{in}),
		step.Of(helm{in}),
		step.Of(archive{in, a}),
		step.Of(service{in, a}),
	}
}

func (in Input) withDefaults() Input {
	if in.Stall == 0 {
		in.Stall = 10 * time.Minute
	}
	if in.Every == 0 {
		in.Every = 3 * time.Second
	}
	if in.Tell == nil {
		in.Tell = func(string) {}
	}
	return in
}

// after is needs and more, in a slice of its own.
func (in Input) after(more ...step.ID) []step.ID {
	return append(append([]step.ID{}, in.Needs...), more...)
}
