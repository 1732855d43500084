package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// service is the runner itself: registered, running as a unit, and seen by
// GitHub.
type service struct {
	in      Input
	answers *answers
}

func (service) ID() step.ID     { return ServiceID }
func (service) Title() string   { return "GitHub runner" }
func (service) Lane() step.Lane { return step.LaneBox }
func (s service) Needs() []step.ID {
	return s.in.after(PackagesID, UserID, AccessID, HelmID, ArchiveID)
}

// Observe looks at everything in one round trip where the unit has the name that
// svc.sh gives all but long ones.
func (s service) Observe(ctx context.Context, r host.Reader) (seen, error) {
	likely := unitPrefix + strings.ReplaceAll(s.in.Want.Repository, "/", "-") + "." + s.in.Want.Name + ".service"
	o, err := managed.Observe(ctx, r, managed.Look{Files: s.files(likely), Beside: []host.Command{lookQuery()}})
	if err != nil {
		return seen{}, fmt.Errorf("look at the runner: %w", err)
	}
	l, err := parseLocal(string(o.Beside[0]))
	if err != nil {
		return seen{}, err
	}
	if l.service != "" && l.service != likely {
		if o, err = managed.Observe(ctx, r, managed.Look{Files: s.files(l.service)}); err != nil {
			return seen{}, err
		}
	}
	l.files = o.Files
	return s.answers.see(ctx, l)
}

// files are all that we write for a unit.
func (s service) files(unit string) []managed.File {
	out := []managed.File{dropIn(unit, s.in.Limits)}
	for _, o := range ownFiles() {
		out = append(out, o.file())
	}
	return out
}

func (s service) registration() string {
	return fmt.Sprintf("runner %s at %s", s.in.Want.Name, repositoryURL(s.in.Want.Server, s.in.Want.Repository))
}

func (s service) online() string { return "runner " + s.in.Want.Name + " online" }

const (
	runsvcObject = rootDir + "/runsvc.sh"
	// typical is what registering and the first minute online take on an old
	// CPU, the unpacking of 200 MB included.
	typicalRegistration, typicalOnline = 4 * time.Minute, 30 * time.Second
)

func (s service) Diff(o seen) ([]step.Change, error) {
	var out []step.Change
	for _, u := range o.local.stale() {
		if !o.verdict.register {
			out = append(out, step.Change{Verb: step.Remove, Object: u, Why: "an earlier runner's unit in the same folder"})
		}
	}
	online := step.Change{Verb: step.Wait, Object: s.online(), Why: "GitHub says offline", Work: typicalOnline}
	if o.verdict.register {
		verb := step.Update
		if o.verdict.why == "absent" {
			verb = step.Create
		}
		online.Why = "until GitHub sees it"
		return append(out, step.Change{Verb: verb, Object: s.registration(), Why: o.verdict.why, Work: typicalRegistration}, online), nil
	}
	l := o.local
	files := managed.Diff(s.files(l.service), l.files)
	out = append(out, files...)
	if l.runsvc != "same" {
		out = append(out, step.Change{Verb: step.Update, Object: runsvcObject, Why: or(l.runsvc, "absent") + ", as an update that broke off leaves it"})
	}
	out = append(out, managed.DiffUnit(l.service, l.unit(), managed.Named(files, dropIn(l.service, s.in.Limits).Path))...)
	switch u := l.unit(); {
	case !u.Active && u.State != "activating":
		out = append(out, step.Change{Verb: step.Start, Object: l.service, Why: or(u.State, "not running")}, online)
	case len(out) > 0:
		out = append(out, step.Change{Verb: step.Restart, Object: l.service, Why: "its settings changed", Restarts: l.service}, online)
	case o.verdict.offline:
		out = append(out, step.Change{Verb: step.Restart, Object: l.service, Why: "it runs, and GitHub does not see it", Restarts: l.service}, online)
	}
	return out, nil
}

func (s service) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	defer s.answers.forget()
	l, err := look(ctx, r.Host)
	if err != nil {
		return err
	}
	if err := s.idle(ctx, l, changes); err != nil {
		return err
	}
	if managed.Named(changes, s.registration()) {
		if err := s.register(ctx, r, l); err != nil {
			return err
		}
		return s.settle(ctx, r)
	}
	if err := removeUnits(ctx, r.Host, l.stale()); err != nil {
		return err
	}
	if managed.Named(changes, runsvcObject) {
		if err := s.restoreRunsvc(ctx, r.Host); err != nil {
			return err
		}
	}
	return s.restart(ctx, r, l, changes)
}

// idle refuses to touch a runner that works on a job. It asks anew: the plan
// may be an hour old.
func (s service) idle(ctx context.Context, l local, changes []step.Change) error {
	stops := managed.Named(changes, s.registration())
	for _, c := range changes {
		stops = stops || c.Verb == step.Restart
	}
	if !stops {
		return nil
	}
	r, err := s.in.GitHub.Runner(ctx, s.in.Want.Name)
	if err != nil {
		return err
	}
	if r != nil && r.Busy {
		return busy(s.in.Want.Name, l.service != "")
	}
	return nil
}

func busy(name string, here bool) error {
	where := "on this box"
	if !here {
		where = "on another computer of the same name"
	}
	return fault.New(fault.RunnerBusy, "wait for the job to end, then run the same command again",
		"the runner %s works on a job %s, and is not replaced meanwhile", name, where)
}

// restoreRunsvc puts back the script that the unit starts.
func (s service) restoreRunsvc(ctx context.Context, h host.Host) error {
	const script = `cd "$1" && exec runuser -u "$2" -- cp --remove-destination bin/runsvc.sh runsvc.sh`
	if _, err := h.Run(ctx, host.Command{Argv: []string{"sh", "-c", script, "sh", rootDir, userName}, Root: true}); err != nil {
		return fmt.Errorf("restore %s: %w", runsvcObject, err)
	}
	return nil
}

// settle writes what a freshly registered runner lacks, and starts it.
func (s service) settle(ctx context.Context, r step.Run) error {
	l, err := look(ctx, r.Host)
	if err != nil {
		return err
	}
	if l.service == "" {
		return fault.New(fault.RunnerRefused, "", "svc.sh has installed no unit that runs from %s", rootDir)
	}
	changes := []step.Change{{Verb: step.Update, Object: managed.Reload}, {Verb: step.Enable, Object: l.service}, {Verb: step.Restart, Object: l.service}, {Verb: step.Wait, Object: s.online()}}
	for _, f := range s.files(l.service) {
		changes = append(changes, step.Change{Verb: step.Update, Object: f.Path})
	}
	return s.restart(ctx, r, l, changes)
}

// restart writes the files that changed, starts the unit and waits for GitHub
// to see it.
func (s service) restart(ctx context.Context, r step.Run, l local, changes []step.Change) error {
	if err := managed.Apply(ctx, r.Host, []managed.File{dropIn(l.service, s.in.Limits)}, changes); err != nil {
		return err
	}
	for _, o := range ownFiles() {
		if !managed.Named(changes, o.path) {
			continue
		}
		if err := writeAsUser(ctx, r.Host, o); err != nil {
			return err
		}
	}
	if err := managed.ApplyUnit(ctx, r.Host, l.service, changes); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Verb == step.Start || c.Verb == step.Restart {
			if err := systemctl(ctx, r.Host, "restart", "--no-block", l.service); err != nil {
				return err
			}
			break
		}
	}
	if managed.Named(changes, s.online()) {
		return s.wait(ctx, r, l)
	}
	return nil
}

func writeAsUser(ctx context.Context, h host.Host, o ownFile) error {
	const script = `exec runuser -u "$2" -- sh -c 'umask 022; cat >"$1.new" && chmod 0644 "$1.new" && mv -fT "$1.new" "$1"' sh "$1"`
	argv := []string{"sh", "-c", script, "sh", o.path, userName}
	if _, err := h.Run(ctx, host.Command{Argv: argv, Stdin: []byte(o.content), Root: true}); err != nil {
		return fmt.Errorf("write %s: %w", o.path, err)
	}
	return nil
}

func systemctl(ctx context.Context, h host.Host, args ...string) error {
	argv := append([]string{"systemctl"}, args...)
	if _, err := h.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

// removeUnits stops units and removes them. The folder's own svc.sh could do
// so too, and would run as root what a job may have written.
func removeUnits(ctx context.Context, h host.Host, names []string) error {
	if len(names) == 0 {
		return nil
	}
	const script = `for u; do
	systemctl disable --now "$u" || systemctl stop "$u" || :
	rm -rf "/etc/systemd/system/$u" "/etc/systemd/system/$u.d"
done
systemctl daemon-reload`
	if _, err := h.Run(ctx, host.Command{Argv: append([]string{"sh", "-c", script, "sh"}, names...), Root: true}); err != nil {
		return fmt.Errorf("remove %s: %w", strings.Join(names, ", "), err)
	}
	return nil
}

// commandOutput is what a failed command said, or nil if it did not fail as a
// command.
func commandOutput(err error) *host.CommandError {
	var failed *host.CommandError
	if errors.As(err, &failed) {
		return failed
	}
	return nil
}
