package recovery

import (
	"context"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// The steps' names.
const (
	StateID step.ID = "restore-state"
	DataID  step.ID = "restore-data"
)

// Plan is the restore of a lost box.
type Plan struct {
	Box      Box
	Vault    *vault.Vault
	Entry    vault.Entry
	Manifest vault.Manifest
	About    About
	// Services are brought back by this computer, by the part's name.
	Services map[string]Service
	// Before are the steps that the services' data wait for.
	Before []step.ID
}

// Steps are what brings a backup back onto a box that lost everything: the
// state before anything starts that would make its own, the data when the
// services run.
func (p Plan) Steps() []step.Step { return []step.Step{stateStep{p}, dataStep{p}} }

// early are the parts that must be there before the first start of what they
// belong to. The runner's credentials are left out: it registers anew under
// its name, which takes the old one's place.
func early() []string { return []string{K3s, Tailnet, Volumes} }

type stateStep struct{ plan Plan }

func (s stateStep) ID() step.ID      { return StateID }
func (s stateStep) Title() string    { return "Cluster state and identities" }
func (s stateStep) Needs() []step.ID { return nil }
func (s stateStep) Lane() step.Lane  { return step.LaneLink }

func (s stateStep) Plan(ctx context.Context, r host.Reader) ([]step.Change, error) {
	m, err := s.plan.Box.ReadMark(ctx, r)
	if err != nil || m.State && m.ID == s.plan.Entry.ID {
		return nil, err
	}
	var out []step.Change
	for _, name := range early() {
		if p, ok := s.plan.Manifest.Part(name); ok {
			// What is packed is a third, more or less.
			out = append(out, step.Change{Verb: step.Send, Object: name + " of backup " + s.plan.Entry.ID, Why: "the box lost it", Bytes: p.Bytes / 3})
		}
	}
	return out, nil
}

// guard keeps a restore off a box that has a cluster, or volumes of one.
const guard = `[ -e "$1` + markPath + `" ] || { k3s=$1/var/lib/rancher/k3s; [ ! -e "$k3s/server/db/state.db" ] && [ -z "$(ls -A "$k3s/storage" 2>/dev/null)" ]; }`

func (s stateStep) Apply(ctx context.Context, run step.Run, changes []step.Change) error {
	if len(changes) == 0 {
		return nil
	}
	p := s.plan
	p.Box.Host = run.Host
	if _, err := run.Host.Query(ctx, shell(guard, nil, p.Box.Root)); err != nil {
		return fault.New(fault.RestoreRefused, "bring single parts back with `ssg-bootstrap restore --host HOST --only mysql`, or remove what is there with `ssg-bootstrap uninstall --host HOST`",
			"the box has a cluster or volumes of its own; they are not overwritten")
	}
	if err := p.Box.ready(ctx); err != nil {
		return err
	}
	if err := p.Box.writeMark(ctx, Mark{ID: p.Entry.ID}); err != nil {
		return err
	}
	r := Restorer{Box: p.Box, Vault: p.Vault, Note: run.Note, Progress: run.Progress}
	for _, name := range early() {
		part, ok := p.Manifest.Part(name)
		if !ok {
			continue
		}
		run.Note("sending " + name)
		if _, _, err := r.send(ctx, p.Entry, part); err != nil {
			return err
		}
		if err := r.job(ctx, "files-"+name); err != nil {
			return unfinished(name, err)
		}
	}
	// Nobody comes in before the data are back: what was written meanwhile
	// would be lost.
	if err := r.job(ctx, "shut"); err != nil {
		return unfinished("the door", err)
	}
	return p.Box.writeMark(ctx, Mark{ID: p.Entry.ID, State: true})
}

type dataStep struct{ plan Plan }

func (s dataStep) ID() step.ID      { return DataID }
func (s dataStep) Title() string    { return "Data of the services" }
func (s dataStep) Needs() []step.ID { return append([]step.ID{StateID}, s.plan.Before...) }
func (s dataStep) Lane() step.Lane  { return step.LaneLink }

func (s dataStep) Plan(ctx context.Context, r host.Reader) ([]step.Change, error) {
	m, err := s.plan.Box.ReadMark(ctx, r)
	if err != nil {
		return nil, err
	}
	var out []step.Change
	if !s.back(m) {
		for _, name := range Restorable() {
			if p, ok := s.plan.Manifest.Part(name); ok {
				out = append(out, step.Change{Verb: step.Send, Object: name + " of backup " + s.plan.Entry.ID, Why: "the box lost it", Bytes: p.Bytes / 3})
			}
		}
	} else if !m.Shut {
		return nil, nil
	}
	return append(out, step.Change{Verb: step.Enable, Object: "the way in", Why: "shut until the data are back"}), nil
}

func (s dataStep) Apply(ctx context.Context, run step.Run, changes []step.Change) error {
	if len(changes) == 0 {
		return nil
	}
	p := s.plan
	p.Box.Host = run.Host
	r := Restorer{Box: p.Box, Vault: p.Vault, Note: run.Note, Progress: run.Progress, Services: p.Services}
	m, err := p.Box.ReadMark(ctx, run.Host)
	if err != nil {
		return err
	}
	if err := p.Box.ready(ctx); err != nil {
		return err
	}
	if s.back(m) {
		err = r.Finish(ctx)
	} else {
		err = s.bring(ctx, r, run.Note)
	}
	if err != nil {
		return err
	}
	if err := r.job(ctx, "open"); err != nil {
		return unfinished("the door", err)
	}
	return p.Box.writeMark(ctx, Mark{ID: p.Entry.ID, State: true, Data: true})
}

func (s dataStep) back(m Mark) bool { return m.Data && m.ID == s.plan.Entry.ID }

// bring puts the data back. That they are is on the box before anybody can write:
// whoever goes on with this later must not replace what was written since.
func (s dataStep) bring(ctx context.Context, r Restorer, note func(string)) error {
	p := s.plan
	var only []string
	for _, name := range Restorable() {
		if _, ok := p.Manifest.Part(name); ok {
			only = append(only, name)
		}
	}
	return r.Into(ctx, p.Entry, p.Manifest, only, Around{
		Proven: func(ctx context.Context) error {
			return p.Box.writeMark(ctx, Mark{ID: p.Entry.ID, State: true, Data: true, Shut: true})
		},
		Done: func(_ string, out Restored) { note(out.String()) },
	})
}
