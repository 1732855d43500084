package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

const backupID step.ID = "backup"

func newCmdBackup(a *app) *cobra.Command {
	var o hostFlags
	var schedule string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Bring what cannot be rebuilt off the box, encrypted and verified",
		Long: `Bring what cannot be rebuilt off the box to this computer, while the application
runs: databases, volumes, the cluster's state, the identities of the box. Only
what this computer does not have crosses the link. It is encrypted for this
computer's age identity and the recipients in the configuration, and counts as a
backup only after it was read back. What broke off goes on where it was.`,
		Example: "  ssg-bootstrap backup --host oldpc\n  ssg-bootstrap backup list --host oldpc\n  ssg-bootstrap backup --schedule daily --host oldpc",
		Args:    onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if schedule != "" {
				return a.schedule(cmd.Context(), o.host, schedule)
			}
			return backupRun(cmd.Context(), a, o)
		},
	}
	o.add(a, cmd)
	cmd.Flags().StringVar(&schedule, "schedule", "", "let this computer take backups by itself: daily, weekly, a `time` like 03:30, or off")
	complete(cmd, "schedule", func() []string { return []string{"daily", "weekly", "hourly", scheduleOff} })
	cmd.AddCommand(newCmdBackupList(a), newCmdBackupShow(a), newCmdBackupVerify(a), newCmdBackupUnpack(a), newCmdBackupPrune(a))
	return cmd
}

// BackupData is what a backup did, as programs get it.
type BackupData struct {
	Host        string         `json:"host"`
	ID          string         `json:"id"`
	Folder      string         `json:"folder"`
	Bytes       int64          `json:"bytes"`
	Missing     int64          `json:"missing"`
	Stored      int64          `json:"stored"`
	BytesGot    int64          `json:"bytesGot"`
	TookSeconds float64        `json:"tookSeconds"`
	Parts       []BackupPart   `json:"parts"`
	About       recovery.About `json:"about"`
	manifest    vault.Manifest
}

// BackupPart is one part of a backup, as programs get it.
type BackupPart struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

func partsOf(m vault.Manifest) []BackupPart {
	var out []BackupPart
	for _, p := range m.Parts {
		out = append(out, BackupPart{p.Name, p.Bytes})
	}
	return out
}

func backupRun(ctx context.Context, a *app, o hostFlags) error {
	s, err := a.open(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.examine(ctx, specFlags{}); err != nil {
		return err
	}
	if !s.facts.K3s.Unit {
		return fault.New(fault.NotInstalled, "", "there is no k3s on %s, so there is nothing to back up", s.name)
	}
	unlock, err := s.client.Lock(ctx, a.holder())
	if err != nil {
		return err
	}
	defer unlock()
	data, err := s.backup(ctx)
	if err != nil {
		return err
	}
	a.answer(data, func(w io.Writer) { data.write(w) })
	return nil
}

func (d BackupData) write(w io.Writer) {
	fmt.Fprintf(w, "Backup %s of %s: %s, of which %s were new; %s crossed the link. It was read back and is whole.\n",
		d.ID, d.Host, report.Bytes(d.Bytes), report.Bytes(d.Missing), report.Bytes(d.BytesGot))
	fmt.Fprintf(w, "It lies in %s, encrypted; docs/recovery.md says how to keep the key.\n", d.Folder)
}

// backup takes a backup of everything. The box must be locked.
func (s *session) backup(ctx context.Context) (BackupData, error) {
	v, err := s.a.vault(s.name, s.cfg.Backup, true)
	if err != nil {
		return BackupData{}, err
	}
	unlock, err := v.Lock()
	if err != nil {
		return BackupData{}, err
	}
	defer unlock()
	return s.backupInto(ctx, v, nil)
}

// backupInto takes a backup of some parts, nil for all: only those make a backup
// that a box can be made of. The box and the vault must be locked.
func (s *session) backupInto(ctx context.Context, v *vault.Vault, parts []string) (BackupData, error) {
	in, err := s.a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
	if err != nil {
		return BackupData{}, err
	}
	running, err := k3s.Look(ctx, host.ReadOnly(s.client))
	if err != nil {
		return BackupData{}, err
	}
	about := recovery.About{
		Tool: readVersion().Version, K3s: running.Version, Node: s.spec.NodeName,
		Namespace: in.Want.Namespace, Release: in.Want.Name,
	}
	s.warnOfClock(v)
	half, err := s.box(in.Want).Restoring(ctx, host.ReadOnly(s.client))
	if err != nil {
		return BackupData{}, err
	}
	if half != "" {
		return BackupData{}, fault.New(fault.BackupFailed, "finish that first: `ssg-bootstrap install --host HOST` for a whole box, else `ssg-bootstrap restore --host HOST` with the same --only",
			"backup %s is half restored on %s: what is there now is worth no backup", half, s.name)
	}
	seen, err := s.deployed(ctx, in.Want)
	if err != nil {
		return BackupData{}, err
	}
	about.ImageTag = seen.Revision.Tag
	partial := parts != nil
	if !partial {
		parts = recovery.Parts(seen.Revision.Number > 0)
		if err := stillHolds(v, parts, in.Want); err != nil {
			return BackupData{}, err
		}
	}
	start, before := s.a.env.Now(), s.client.Stats()
	t := s.a.progress(backupID, "backup of "+s.name)
	boxed, extras := s.split(in, parts, t.note)
	taken, err := recovery.Taker{
		Box: s.box(in.Want), Vault: v, Parts: boxed, Extras: extras, About: about, Host: s.name, Partial: partial, Now: s.a.env.Now,
		Note: t.note, Progress: t.progress,
	}.Take(ctx)
	t.end(err)
	if err != nil {
		return BackupData{}, err
	}
	about, err = recovery.ReadAbout(taken.Manifest)
	return BackupData{
		Host: s.name, ID: taken.Entry.ID, Folder: v.Dir(), Bytes: taken.Bytes, Missing: taken.Missing, Stored: taken.Stored,
		BytesGot: s.client.Stats().BytesIn - before.BytesIn, TookSeconds: s.a.env.Now().Sub(start).Seconds(),
		Parts: partsOf(taken.Manifest), About: about, manifest: taken.Manifest,
	}, err
}

// stillHolds refuses to make a backup without databases the newest one when the
// one before has them: a release that is not found is not proof that its data
// are worth nothing.
func stillHolds(v *vault.Vault, parts []string, w release.Want) error {
	e, err := v.Find("latest")
	if err != nil || slices.Contains(parts, recovery.MySQL) {
		return nil // nothing to lose, or an older one that cannot be read
	}
	m, err := v.Manifest(e)
	if _, had := m.Part(recovery.MySQL); err != nil || !had {
		return nil
	}
	return fault.New(fault.BackupFailed, "bring the release back with `ssg-bootstrap install --host HOST`; if the application is gone for good, move that backup's folder away: "+v.Dir(),
		"backup %s holds databases, and the release %s is not found in the namespace %s: a backup without them would take its place", e.ID, w.Name, w.Namespace)
}

// deployed is the release that is there, if there is one.
func (s *session) deployed(ctx context.Context, w release.Want) (release.Seen, error) {
	if !s.facts.K3s.Active {
		return release.Seen{}, fault.New(fault.NotInstalled, "", "k3s does not run on %s", s.name)
	}
	return release.ByBox(s.client, w.Namespace, w.Name)(ctx)
}

func (s *session) box(w release.Want) recovery.Box {
	return recovery.Box{Host: s.client, Namespace: w.Namespace, Release: w.Name}
}

// warnOfClock says when the newest backup seems to come from the future. They
// are ordered by number, so nothing goes wrong but what is said of their age.
func (s *session) warnOfClock(v *vault.Vault) {
	e, err := v.Find("latest")
	if err != nil {
		return
	}
	m, err := v.Manifest(e)
	if err != nil {
		s.a.tell("warning: " + err.Error() + "; this backup is made without it")
		return
	}
	if _, ok := vault.Age(m.Taken, s.a.env.Now()); !ok {
		s.a.tell(fmt.Sprintf("warning: this computer's clock is behind backup %s, which was taken at %s; set it right", e.ID, m.Taken.Format(time.RFC3339)))
	}
}

// vault is the folder of one host's backups. To read needs no identity of its
// own: what cannot be opened says so by itself.
func (a *app) vault(name string, b spec.Backup, write bool) (*vault.Vault, error) {
	var keys secrets.Keyring
	var err error
	if write {
		keys, err = secrets.WriteKeyring(a.stateDir(), b.Identities, b.Recipients)
	} else {
		keys, err = secrets.ReadKeyring(a.stateDir(), b.Identities)
	}
	if err != nil {
		return nil, err
	}
	folder := cmp.Or(b.Folder, filepath.Join(a.stateDir(), "backups"))
	return vault.Open(vault.Options{Dir: filepath.Join(folder, fileName(name)), Keys: keys, Holder: a.holder()})
}

// tracked is a task that tells how far it is.
type tracked struct {
	a     *app
	id    step.ID
	title string
	note  func(string)
	end   func(error)
}

func (a *app) progress(id step.ID, title string) tracked {
	note, end := a.task(id, title)
	return tracked{a, id, title, note, end}
}

func (t tracked) progress(done, total int64) {
	t.a.report().Event(step.Event{Time: t.a.env.Now(), Kind: step.StepProgress, Step: t.id, Title: t.title, Done: done, Total: total})
}
