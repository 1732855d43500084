package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

const restoreID step.ID = "restore"

type restoreOptions struct {
	hostFlags
	only     []string
	id       string
	yes      bool
	noBackup bool
}

func newCmdRestore(a *app) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore [ID]",
		Short: "Bring data of a backup back into a running box",
		Long: `Bring data of a backup back into a running box; the newest backup, if none is
named. What is there now is backed up first. The application is stopped while
its data are replaced, and started again when every table was compared with the
backup. For a box that lost its disk, use install: it offers its backups.`,
		Example: "  ssg-bootstrap restore --only mysql --host oldpc\n  ssg-bootstrap restore 12 --only mysql --host oldpc",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = latest(args)
			return restoreRun(cmd.Context(), a, o)
		},
	}
	o.hostFlags.add(a, cmd)
	cmd.ValidArgsFunction = a.backupIDs(&o.host)
	cmd.Flags().StringSliceVar(&o.only, "only", nil, "the `part` to restore: "+strings.Join(recovery.Restorable(), " or ")+"; may be repeated")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask before data are replaced")
	cmd.Flags().BoolVar(&o.noBackup, "no-backup", false, "do not back up first what is replaced, as when it is damaged")
	complete(cmd, "only", recovery.Restorable)
	return cmd
}

// RestoreData is what a restore did, as programs get it.
type RestoreData struct {
	Host     string            `json:"host"`
	ID       string            `json:"id"`
	Before   string            `json:"backupBefore,omitempty"`
	Restored map[string]string `json:"restored"`
	Beside   []string          `json:"beside,omitempty"`
}

func restoreRun(ctx context.Context, a *app, o restoreOptions) error {
	if err := recovery.CheckParts(o.only); err != nil {
		return err
	}
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.examine(ctx, specFlags{}); err != nil {
		return err
	}
	if !s.facts.K3s.Active {
		return fault.New(fault.NotInstalled, "ssg-bootstrap install --host "+s.name+" --restore "+o.id, "k3s does not run on %s", s.name)
	}
	release, err := s.client.Lock(ctx, a.holder())
	if err != nil {
		return err
	}
	defer release()
	if err := s.goOn(ctx, &o); err != nil {
		return err
	}
	v, err := a.vault(s.name, s.cfg.Backup, !o.noBackup)
	if err != nil {
		return err
	}
	// Found now: the backup of what is replaced will be newer.
	e, err := v.Find(o.id)
	if err != nil {
		return err
	}
	// Nobody may remove the backup until it is back, whoever else is at work.
	lock := v.Lock
	if o.noBackup {
		lock = v.Hold
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	return s.restore(ctx, v, e, o)
}

// goOn makes a restore that broke off the one that is meant: the newest backup
// is by now that of what it replaced. What is there is half of one and half of
// the other, and is not backed up.
func (s *session) goOn(ctx context.Context, o *restoreOptions) error {
	in, err := s.a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
	if err != nil {
		return err
	}
	half, err := s.box(in.Want).Restoring(ctx, host.ReadOnly(s.client))
	if err != nil || half == "" {
		return err
	}
	o.noBackup, o.yes = true, o.yes || o.id == "latest"
	if o.id == "latest" {
		o.id = half
		s.a.tell("going on with the restore of backup " + half)
	}
	return nil
}

func (s *session) restore(ctx context.Context, v *vault.Vault, e vault.Entry, o restoreOptions) error {
	in, err := s.a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
	if err != nil {
		return err
	}
	t := s.a.progress(restoreID, "restore "+strings.Join(o.only, ", ")+" from backup "+e.ID)
	r := recovery.Restorer{Box: s.box(in.Want), Vault: v, Note: t.note, Progress: t.progress, Services: s.services(in)}
	m, _, err := r.Check(ctx, e)
	if err == nil {
		err = recovery.Holds(m, o.only)
	}
	t.end(err)
	if err != nil {
		return err
	}
	if err := s.mayReplace(ctx, m, o); err != nil {
		return err
	}
	d := RestoreData{Host: s.name, ID: e.ID, Restored: map[string]string{}}
	around := recovery.Around{Done: func(part string, out recovery.Restored) {
		d.Restored[part] = out.String()
		d.Beside = append(d.Beside, out.Beside...)
	}}
	if !o.noBackup {
		around.Before = func(ctx context.Context) error { return s.backUpFirst(ctx, v, o.only, &d) }
	}
	t = s.a.progress(restoreID, "restore "+strings.Join(o.only, ", ")+" from backup "+e.ID)
	r.Note, r.Progress = t.note, t.progress
	err = r.Into(ctx, e, m, o.only, around)
	t.end(err)
	if err != nil {
		s.a.data = d
		return err
	}
	s.a.answer(d, func(w io.Writer) { d.write(w) })
	return nil
}

// backUpFirst keeps what is about to be replaced. Nobody writes meanwhile, so
// that nothing is missing from it.
func (s *session) backUpFirst(ctx context.Context, v *vault.Vault, only []string, d *RestoreData) error {
	before, err := s.backupInto(ctx, v, only)
	if err != nil {
		return &fault.Error{
			Code: fault.CodeOf(err), Op: "back up what would be replaced", Err: err, Evidence: fault.EvidenceOf(err),
			Next: "nothing was replaced; mend this, or add --no-backup if what is there is worth nothing",
		}
	}
	d.Before = before.ID
	return nil
}

// mayReplace asks for the host's name: nothing that holds data goes without.
func (s *session) mayReplace(ctx context.Context, m vault.Manifest, o restoreOptions) error {
	if o.yes {
		return nil
	}
	s.a.tell(fmt.Sprintf("This replaces %s on %s by what it was at %s (backup %s).", strings.Join(o.only, " and "), s.name, m.Taken.Local().Format("2006-01-02 15:04"), m.ID))
	typed, err := newPrompter(s.a).Ask(ctx, "Type the host's name to go on", "", "add --yes; what is there now is backed up first")
	if err != nil {
		return err
	}
	if typed != s.name {
		return fault.New(fault.Usage, "type the name "+s.name+", or keep what is there", "%q is not the host's name; nothing was replaced", typed)
	}
	return nil
}

func (d RestoreData) write(w io.Writer) {
	for part, text := range d.Restored {
		fmt.Fprintf(w, "%s on %s is what it was in backup %s: %s.\n", part, d.Host, d.ID, text)
	}
	for _, name := range d.Beside {
		fmt.Fprintf(w, "%s is not in the backup; it was left alone.\n", report.Clean(name))
	}
	if d.Before != "" {
		fmt.Fprintf(w, "What was there before is backup %s.\n", d.Before)
	}
}
