package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/runner/github"
)

// Status is how the runner is, on the box and at GitHub.
type Status struct {
	Name       string `json:"name"`
	Repository string `json:"repository"`
	// Installed says that a runner is registered on the box.
	Installed bool   `json:"installed"`
	Unit      string `json:"unit,omitempty"`
	// State is systemd's word for the unit.
	State    string    `json:"state,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Restarts int       `json:"restarts"`
	Version  string    `json:"version,omitempty"`
	// Known says whether GitHub was asked and knows the runner; Note is why not.
	Known  bool     `json:"known"`
	Note   string   `json:"note,omitempty"`
	Online bool     `json:"online"`
	Busy   bool     `json:"busy"`
	Labels []string `json:"labels,omitempty"`
	// LastSeen is when the runner last wrote its log.
	LastSeen time.Time `json:"lastSeen,omitzero"`
	// Ends is when GitHub stops taking the version; zero is not known.
	Ends time.Time `json:"ends,omitzero"`

	wrong verdict
	local local
}

// Works reports whether jobs are run.
func (s Status) Works() bool {
	return s.Installed && s.State == "active" && (s.Online || !s.Known && s.Note != "") && !s.wrong.register
}

// Look asks the box and, with a token, GitHub. What GitHub refuses is part of
// the answer: the box is worth looking at all the same.
func Look(ctx context.Context, r host.Reader, in Input) (Status, error) {
	in = in.withDefaults()
	l, err := look(ctx, r)
	if err != nil {
		return Status{}, err
	}
	u := l.unit()
	s := Status{
		Name: in.Want.Name, Repository: in.Want.Repository, Installed: l.registered, Unit: l.service, State: u.State,
		Since: u.Started, Restarts: u.Restarts, Version: l.version, LastSeen: l.active, local: l,
	}
	s.wrong = judge(in, l, remote{})
	known, err := s.ask(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return s, err
		}
		s.Note = err.Error()
		return s, nil
	}
	s.wrong = judge(in, l, remote{asked: true, runner: known})
	return s, nil
}

func (s *Status) ask(ctx context.Context, in Input) (*github.Runner, error) {
	if !in.GitHub.HasToken() {
		return nil, fmt.Errorf("GitHub was not asked: GITHUB_TOKEN is not set")
	}
	known, err := in.GitHub.Runner(ctx, in.Want.Name)
	if err != nil || known == nil {
		return nil, err
	}
	s.Known, s.Online, s.Busy, s.Labels = true, known.Online(), known.Busy, known.Custom()
	if known.Version != "" {
		s.Version = known.Version
	}
	d, tracked, err := in.GitHub.Deprecation(ctx, s.Version)
	if err == nil && tracked {
		s.Ends = d.Runtime
	}
	return known, nil
}

const (
	// forgotten is after how long GitHub forgets a runner that was away.
	forgotten = 14 * 24 * time.Hour
	// soon is how long before a date it is worth a warning.
	soon = 21 * 24 * time.Hour
)

// Findings grade the runner for doctor.
func (s Status) Findings(f facts.Facts, now time.Time) []facts.Finding {
	var out []facts.Finding
	add := func(g facts.Grade, check, remedy, format string, args ...any) {
		out = append(out, facts.Finding{Grade: g, Check: check, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	again := "`ssg-bootstrap install` registers or repairs it"
	switch {
	case s.wrong.register:
		add(facts.Warn, "runner", again, "%s: %s", s.Name, s.wrong.why)
	case s.State != "active":
		add(facts.Warn, "runner", again, "%s is %s", s.Unit, or(s.State, "not running"))
	case s.local.runsvc != "same":
		add(facts.Warn, "runner", again, "runsvc.sh is not what it should be (%s): at the next boot the runner would not start", or(s.local.runsvc, "absent"))
	case !s.Known:
		add(facts.Note, "runner", "", "%s runs; %s", s.Unit, or(s.Note, "GitHub does not know it"))
	case !s.Online:
		add(facts.Warn, "runner", again, "%s runs, and GitHub says it is offline", s.Unit)
	default:
		add(facts.OK, "runner", "", "%s is online with version %s", s.Name, s.Version)
	}
	if away := now.Sub(s.LastSeen); s.Installed && !s.Online && !s.LastSeen.IsZero() && away > forgotten/2 {
		add(facts.Warn, "runner away", again, "its last sign of life is %d days old; GitHub forgets a runner after %d", int(away.Hours()/24), int(forgotten.Hours()/24))
	}
	if left := s.Ends.Sub(now); !s.Ends.IsZero() && left < soon {
		text := fmt.Sprintf("GitHub takes version %s until %s", s.Version, s.Ends.Format(time.DateOnly))
		add(facts.Warn, "runner version", "let it update itself while the box is on, or run `ssg-bootstrap install` once it is offline", "%s", text)
	}
	if f.CPU.Level == 1 {
		add(facts.Note, "runner CPU", "see docs/runner.md for what to do then",
			"today's runner (.NET 8) runs on this CPU (x86-64-v1); one made with .NET 11 will not")
	}
	return out
}

// Public is the finding for a repository that anybody may send programs to.
func Public(ctx context.Context, in Input) []facts.Finding {
	if !in.GitHub.HasToken() {
		return nil
	}
	private, err := in.GitHub.Private(ctx)
	if err != nil || private {
		if fault.CodeOf(err) == fault.GitHubRefused {
			return []facts.Finding{{Grade: facts.Warn, Check: "runner token", Text: err.Error(), Remedy: fault.NextOf(err)}}
		}
		return nil
	}
	return []facts.Finding{{
		Grade: facts.Warn, Check: "runner repository", Text: in.Want.Repository + " is public: a pull request from anybody can run programs on the box",
		Remedy: "make it private, or require approval for all outside collaborators in its settings",
	}}
}
