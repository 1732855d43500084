package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// session is one command at work on one box.
type session struct {
	a      *app
	name   string
	cfg    spec.Config
	client *host.Client
	facts  facts.Facts
	spec   spec.Spec
	steps  []step.Step
	past   *history
	// restoring is the backup that the box gets back; nil for none.
	restoring *recovery.Plan
	// unhold lets others remove backups again; nil while nothing is held.
	unhold func()
	// images are the application's; nil where it is not deployed.
	images *images.Set
	// tailnet is what lets the box join.
	tailnet *tailnetCredentials
	// server is the one at work on the box whose cluster this one joins; nil
	// for a server.
	server *session
}

// check finds mistakes in the flags before the box is asked for anything.
func (f specFlags) check() error {
	if f.profile == "" || f.profile == spec.Auto {
		return nil
	}
	_, err := profiles.Load(f.profile)
	return err
}

// open finds the box and logs in to it.
func (a *app) open(ctx context.Context, f hostFlags) (*session, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	name, err := chooseHost(cfg, f.host)
	if err != nil {
		return nil, err
	}
	a.host = name
	s := &session{a: a, name: name, cfg: cfg, past: a.about(name), tailnet: &tailnetCredentials{a: a}}
	target, err := a.target(ctx, cfg, name, f.hostKey)
	if err != nil {
		return nil, err
	}
	_, end := a.task("connect", "connect to "+target.String())
	s.client, err = host.Connect(ctx, target, host.Options{
		Prompter:     newPrompter(a),
		Logger:       a.logger(),
		AgentSocket:  a.env.Getenv("SSH_AUTH_SOCK"),
		SSHPassword:  secrets.NewValue(a.env.Getenv("SSG_SSH_PASSWORD")),
		SudoPassword: secrets.NewValue(a.env.Getenv("SSG_SUDO_PASSWORD")),
		Events:       a.news,
	})
	end(err)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// news is what happens on the way and belongs to no step.
func (a *app) news(text string) { report.News(a.report().Event, a.env.Now, text) }

func (s *session) close() {
	_ = s.client.Close()
	if s.unhold != nil {
		s.unhold()
	}
	if s.server != nil {
		s.server.close()
	}
}

// gather finds out in one round trip what the box is.
func (s *session) gather(ctx context.Context) error {
	_, end := s.a.task("facts", "look at "+s.name)
	var err error
	s.facts, err = facts.Gather(ctx, s.client)
	end(err)
	if err != nil {
		return fmt.Errorf("look at %s: %w", s.name, err)
	}
	return nil
}

// examine finds out what the box is, and from it what should be true of it.
func (s *session) examine(ctx context.Context, f specFlags) error {
	if err := s.gather(ctx); err != nil {
		return err
	}
	var err error
	s.spec, err = spec.Resolve(s.cfg, s.name, f.profile, spec.Hardware{
		MemoryBytes: s.facts.Memory.Total,
		Cores:       s.facts.CPU.Cores,
		CPULevel:    s.facts.CPU.Level,
		CPUModel:    s.facts.CPU.Model,
	})
	if err == nil && f.imageTag != "" {
		s.spec.Release.ImageTag = f.imageTag
	}
	return err
}

// look examines the box and lists the steps that bring it to where it should be.
func (s *session) look(ctx context.Context, f specFlags) error {
	if err := s.examine(ctx, f); err != nil {
		return err
	}
	return s.assemble(ctx, f)
}

// assemble lists the steps for a box that was examined.
func (s *session) assemble(ctx context.Context, f specFlags) error {
	store, err := artifact.Open(artifact.Options{
		CacheDir:        s.a.cacheDir(),
		LockPath:        s.a.lockPath(s.cfg),
		K3sMirror:       s.spec.Mirrors.K3s,
		TailscaleMirror: s.spec.Mirrors.Tailscale,
		HelmMirror:      s.spec.Mirrors.Helm,
		UpdateLock:      f.updateLock,
		Tell:            s.a.news,
	})
	if err != nil {
		return fmt.Errorf("open the artifact store: %w", err)
	}
	if s.server != nil {
		return s.assembleAgent(ctx, store, f)
	}
	if s.facts.K3s.Agent {
		return s.notAlone()
	}
	app, err := s.application()
	if err != nil {
		return err
	}
	if s.spec.Runner != nil && f.allowPublicRepo {
		s.spec.Runner.AllowPublicRepository = true
	}
	jobs, err := s.a.runnerInput(s.spec, store)
	if err != nil {
		return err
	}
	app.tailnet = s.tailnet.get
	s.steps, err = selected(withRestore(Steps(s.spec, s.facts, store, app, jobs), s.restoring), f)
	return err
}

// worthMeasuring is how much must be sent before the link is measured, which
// costs a second and up to some MB.
const worthMeasuring = 1_000_000

// What a comparison is called: a run that will change the box looks again once
// nobody else can.
const (
	firstLook = "compare with what should be"
	lookAgain = "compare again, with the box locked"
)

// compare plans every step; what is the look that it is.
func (s *session) compare(ctx context.Context, what string) (measuredPlan, error) {
	p := measuredPlan{host: s.name, profile: s.spec.Profile.Name, why: s.spec.ProfileWhy}
	_, end := s.a.task("plan", what)
	var err error
	p.Plan, err = step.MakePlan(ctx, s.steps, s.client)
	end(err)
	return p, err
}

// plan plans every step, and measures the link if there is something to send
// over it.
func (s *session) plan(ctx context.Context, what string) (measuredPlan, error) {
	p, err := s.compare(ctx, what)
	if err == nil && p.Bytes() > worthMeasuring {
		// Measuring may cost about a fiftieth of what it tells the time of.
		p.link, err = s.measureLink(ctx, min(p.Bytes()/100, facts.EnoughForAnyLink))
	}
	return p, err
}

func (s *session) measureLink(ctx context.Context, most int64) (*facts.Link, error) {
	_, end := s.a.task("link", "measure the link")
	l, err := facts.MeasureLink(ctx, host.ReadOnly(s.client), facts.EnoughForAForecast, most)
	end(err)
	return &l, err
}

func (s *session) measureDisk(ctx context.Context) (*facts.Disk, error) {
	_, end := s.a.task("disk", "measure the disk")
	d, err := facts.MeasureDisk(ctx, s.client)
	end(err)
	return &d, err
}

// check judges the box by the profile's requirements.
func (s *session) check(m facts.Measured) []facts.Finding {
	r := s.spec.Profile.Requires
	return facts.Check(s.facts, facts.Requirements{
		Memory: int64(r.Memory), Disk: int64(r.Disk), Cores: r.Cores, FsyncP95: r.FsyncP95.Std(),
	}, m)
}

// holder names this run to whoever else wants the box.
func (a *app) holder() string {
	return fmt.Sprintf("%s@%s (pid %d, since %s)", a.login(), hostname(), os.Getpid(), a.env.Now().UTC().Format(time.RFC3339))
}
