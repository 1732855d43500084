package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
)

// noRestore makes a new cluster although there are backups.
const noRestore = "none"

// recoverable decides whether the box gets a backup back: one that has lost
// everything is offered its newest, and a restore that broke off is gone on
// with. The box was examined before.
func (s *session) recoverable(ctx context.Context, want string) error {
	if s.server != nil {
		return s.agentIsNotRestored(want)
	}
	v, err := s.a.vault(s.name, s.cfg.Backup, false)
	if err != nil {
		return err
	}
	if _, err := v.Find("latest"); noBackup(err) && (want == "" || want == noRestore) {
		s.warnOfAge(v)
		return nil
	}
	in, err := s.a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
	if err != nil {
		return err
	}
	box := s.box(in.Want)
	mark, err := box.ReadMark(ctx, host.ReadOnly(s.client))
	if err != nil {
		return err
	}
	id, err := s.chosen(ctx, v, mark, want)
	if err != nil || id == "" {
		return err
	}
	// Nobody may remove the backup until it is back.
	if s.unhold, err = v.Hold(); err != nil {
		return err
	}
	e, err := v.Find(id)
	if err != nil && mark.Unfinished() {
		return &fault.Error{Code: fault.CodeOf(err), Op: "go on with the restore", Err: err,
			Next: "bring the folder " + v.Dir() + " of that time back; or begin anew with another backup: `ssg-bootstrap uninstall --host " + s.name + "`, then `ssg-bootstrap install --host " + s.name + " --restore ID`"}
	}
	if err != nil {
		return err
	}
	return s.prepareRestore(ctx, v, e, in)
}

// chosen is the backup to be restored; empty for none.
func (s *session) chosen(ctx context.Context, v *vault.Vault, mark recovery.Mark, want string) (string, error) {
	// k3s's files alone may come from a run that never came as far as its start.
	empty := !s.facts.K3s.Datastore && !s.facts.K3s.Active
	switch {
	case mark.Unfinished() && want == noRestore:
		return "", fault.New(fault.RestoreRefused, "go on with `ssg-bootstrap install --host "+s.name+"`, or remove what is there with `ssg-bootstrap uninstall --host "+s.name+"`",
			"backup %s is half restored on %s", mark.ID, s.name)
	case mark.Unfinished():
		s.a.tell("going on with the restore of backup " + mark.ID)
		return mark.ID, nil
	case want == noRestore:
		return "", nil
	case want != "" && !empty && mark.ID == "":
		return "", fault.New(fault.RestoreRefused, "bring single parts back with `ssg-bootstrap restore --host "+s.name+" --only mysql`",
			"%s has a cluster of its own; a whole restore is for a box that lost everything", s.name)
	case want != "" && !empty:
		return "", nil // restored and done; the same line changes nothing
	case want != "":
		return want, nil
	case !empty:
		s.warnOfAge(v)
		return "", nil
	}
	return s.offer(ctx, v)
}

// offer asks whether the newest backup is to be restored.
func (s *session) offer(ctx context.Context, v *vault.Vault) (string, error) {
	e, err := v.Find("latest")
	if noBackup(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	instead := "add --restore latest, or --restore none for a new cluster without the data"
	when := ""
	if m, err := v.Manifest(e); err == nil {
		when = " of " + m.Taken.Local().Format("2006-01-02 15:04")
	}
	ask := newPrompter(s.a)
	if !ask.possible() {
		return "", fault.New(fault.NeedsAnswer, instead, "%s is empty, and there is backup %s%s of it: restore it?", s.name, e.ID, when)
	}
	yes, err := ask.Confirm(ctx, fmt.Sprintf("%s is empty, and there is backup %s%s of it. Restore it?", s.name, e.ID, when))
	if err != nil || yes {
		return e.ID, err
	}
	return "", nil
}

// prepareRestore reads the whole backup before anything on the box is changed
// for it.
func (s *session) prepareRestore(ctx context.Context, v *vault.Vault, e vault.Entry, in release.Input) error {
	t := s.a.progress(restoreID, "read backup "+e.ID)
	box := s.box(in.Want)
	r := recovery.Restorer{Box: box, Vault: v, Note: t.note, Progress: t.progress}
	m, about, err := r.Check(ctx, e)
	if err == nil && m.Partial {
		err = fault.New(fault.RestoreRefused, "take another one: `ssg-bootstrap backup list --host "+s.name+"`; its part goes into a running box with `ssg-bootstrap restore "+e.ID+" --only PART --host "+s.name+"`",
			"backup %s holds only what an earlier restore replaced, and no whole box", e.ID)
	}
	if err == nil {
		err = recovery.Fits(about, e.ID, s.spec.Profile.K3s.Version)
	}
	if err == nil && about.Node != "" && about.Node != s.spec.NodeName {
		err = fault.New(fault.RestoreRefused, "set nodeName: "+about.Node+" for "+s.name+" in the configuration",
			"backup %s is of the node %s, and %s is to be called %s", e.ID, about.Node, s.name, s.spec.NodeName)
	}
	t.end(err)
	if err != nil {
		return err
	}
	if s.spec.Release.ImageTag == "" {
		// The release comes back as it was, so its image must be there.
		s.spec.Release.ImageTag = about.ImageTag
	}
	s.restoring = &recovery.Plan{Box: box, Vault: v, Entry: e, Manifest: m, About: about, Services: s.services(in), Before: []step.ID{k3s.PodsID}}
	return nil
}

// withRestore puts the restore between the steps: the state before anything
// starts that would make its own, the data before the release is looked at.
func withRestore(steps []step.Step, p *recovery.Plan) []step.Step {
	if p == nil {
		return steps
	}
	var out []step.Step
	for _, s := range steps {
		switch id := s.ID(); {
		case id == k3s.ServerID, id == tailnet.ServiceID:
			s = step.Behind(s, recovery.StateID)
		case id == images.ID:
			p.Before = append(p.Before, images.ID)
		case id == release.SecretsID, id == release.ReleaseID:
			s = step.Behind(s, recovery.DataID)
		}
		out = append(out, s)
	}
	return append(out, p.Steps()...)
}

// warnOfAge says when a box that has data has no backup, or an old one.
func (s *session) warnOfAge(v *vault.Vault) {
	if text := backupAge(v, s.a.env.Now(), s.cfg.Backup.Old()); text.old && s.facts.K3s.Active {
		s.a.tell("warning: " + text.said + "; make one with `ssg-bootstrap backup --host " + s.name + "`")
	}
}

// ageText is what is said of the newest backup's age.
type ageText struct {
	said string
	old  bool
}

func backupAge(v *vault.Vault, now time.Time, old time.Duration) ageText {
	e, err := v.Find("latest")
	if noBackup(err) {
		return ageText{"there is no backup", true}
	}
	if err != nil {
		return ageText{"the backups cannot be listed: " + err.Error(), true}
	}
	m, err := v.Manifest(e)
	if err != nil {
		return ageText{"the newest backup cannot be read: " + err.Error(), true}
	}
	age, ok := vault.Age(m.Taken, now)
	if !ok {
		return ageText{"the newest backup, " + e.ID + ", seems to come from the future: a clock is or was wrong", true}
	}
	return ageText{fmt.Sprintf("the newest backup, %s, is %s old", e.ID, report.Duration(age.Round(time.Minute))), age > old}
}
