package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/runner/github"
)

// answers is what GitHub said in this run; each question is asked once, until
// something was changed.
type answers struct {
	in Input

	mu      sync.Mutex
	remote  *remote
	offer   *offer
	allowed bool
}

// remote is the runner as GitHub knows it.
type remote struct {
	// asked is false where there was nobody to ask or no need to.
	asked  bool
	runner *github.Runner
}

// offer is the program that GitHub gives out now.
type offer struct {
	github.Download
	file artifact.Artifact
}

// known asks for the runner. Without a token, and while GitHub is away, what
// runs on the box is taken as it is: that is no reason to fail a run that has
// nothing to do with it.
func (a *answers) known(ctx context.Context) (remote, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.remote != nil {
		return *a.remote, nil
	}
	if !a.in.GitHub.HasToken() {
		return remote{}, nil
	}
	r, err := a.in.GitHub.Runner(ctx, a.in.Want.Name)
	if fault.CodeOf(err) == fault.GitHubUnavailable {
		a.in.Tell(fmt.Sprintf("the runner is taken as it is on the box: %v", err))
		err, a.remote = nil, &remote{}
		return *a.remote, nil
	}
	if err != nil {
		return remote{}, err
	}
	a.remote = &remote{asked: true, runner: r}
	return *a.remote, nil
}

// forget makes the next question about the runner a real one.
func (a *answers) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remote = nil
}

// offered asks which program GitHub gives out, having made sure that it may
// run here at all: what cannot be registered is not sent.
func (a *answers) offered(ctx context.Context) (offer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.offer != nil {
		return *a.offer, nil
	}
	if err := a.allow(ctx); err != nil {
		return offer{}, err
	}
	d, err := a.in.GitHub.Download(ctx)
	if err != nil {
		return offer{}, err
	}
	ref := artifact.Ref{Name: "actions-runner", Version: d.Version, File: d.File}
	file, err := a.in.Store.Vouched(ctx, ref, d.URL, d.SHA256)
	if err != nil {
		return offer{}, err
	}
	a.offer = &offer{d, file}
	return *a.offer, nil
}

// allow refuses a public repository: whoever sends it a pull request would run
// programs on the box.
func (a *answers) allow(ctx context.Context) error {
	if a.allowed || a.in.Want.AllowPublicRepository {
		return nil
	}
	private, err := a.in.GitHub.Private(ctx)
	if err != nil {
		return err
	}
	if !private {
		return fault.New(fault.RepositoryPublic,
			"make "+a.in.GitHub.Repository()+" private; or, if nobody else can start its workflows, add --allow-public-repo",
			"%s is a public repository: a pull request from anybody could run programs on the box", a.in.GitHub.Repository())
	}
	a.allowed = true
	return nil
}

// verdict is what is wrong with the registration.
type verdict struct {
	// register says that the runner is to be registered anew, and why.
	register bool
	why      string
	// offline says that GitHub does not see it although it should.
	offline bool
	busy    bool
}

// judge compares what is on the box and what GitHub knows with what should be.
func judge(in Input, l local, r remote) verdict {
	anew := func(format string, args ...any) verdict {
		return verdict{register: true, why: fmt.Sprintf(format, args...), busy: r.runner != nil && r.runner.Busy}
	}
	want := in.Want
	switch {
	case l.version == "" && !l.registered:
		return anew("absent")
	case !l.whole:
		return anew("its program is damaged")
	case !l.registered:
		return anew("not registered")
	case l.settings.Name != want.Name:
		return anew("it is called %s", l.settings.Name)
	case !strings.EqualFold(strings.TrimRight(l.settings.URL, "/"), repositoryURL(want.Server, want.Repository)):
		return anew("it serves %s", l.settings.URL)
	case l.settings.Folder != want.Work:
		return anew("its jobs' folder is %s", l.settings.Folder)
	case l.service == "":
		// svc.sh lies where jobs may write, and runs as root: only one that no
		// job has seen is run, so the unit alone is not made anew.
		return anew("its unit is gone")
	case !r.asked:
		return verdict{}
	case r.runner == nil:
		return anew("GitHub does not know it (it forgets one that was away for 14 days)")
	case r.runner.ID != l.settings.ID:
		return anew("GitHub knows another one of its name")
	case !slices.Equal(r.runner.Custom(), want.Labels):
		return anew("labels %s → %s", or(strings.Join(r.runner.Custom(), ","), "none"), strings.Join(want.Labels, ","))
	}
	return verdict{offline: !r.runner.Online(), busy: r.runner.Busy}
}

func repositoryURL(server, repository string) string {
	return strings.TrimRight(server, "/") + "/" + repository
}

// outdated adds to a runner that is offline what most often keeps it so: GitHub
// refuses its version, and it cannot update itself then.
func (v verdict) outdated(l local, o offer) verdict {
	if v.offline && compareVersions(l.version, o.Version) < 0 {
		v.register, v.why = true, fmt.Sprintf("offline, and %s is not what GitHub offers (%s)", l.version, o.Version)
	}
	return v
}

// seen is what both steps need to know.
type seen struct {
	local   local
	remote  remote
	verdict verdict
	// offer is set where the runner is to be registered anew.
	offer *offer
}

// see looks at the box and asks GitHub as little as possible: nothing about a
// runner that is not there, nothing about programs when none is needed.
func (a *answers) see(ctx context.Context, l local) (seen, error) {
	s := seen{local: l, verdict: judge(a.in, l, remote{})}
	if !s.verdict.register {
		r, err := a.known(ctx)
		if err != nil {
			return s, err
		}
		s.remote, s.verdict = r, judge(a.in, l, r)
	}
	if !s.verdict.register && !s.verdict.offline {
		return s, nil
	}
	o, err := a.offered(ctx)
	if err != nil {
		return s, err
	}
	s.offer, s.verdict = &o, s.verdict.outdated(l, o)
	return s, nil
}
