package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
)

// kept opens the backups of a host without the host: it may be gone.
func (a *app) kept(flag string, write bool) (string, *vault.Vault, spec.Config, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return "", nil, cfg, err
	}
	name, err := chooseHost(cfg, flag)
	if err != nil {
		return "", nil, cfg, err
	}
	a.host = name
	v, err := a.vault(name, cfg.Backup, write)
	return name, v, cfg, err
}

// withBackup opens one of the host's backups, and keeps a prune from taking it
// away while it is read.
func (a *app) withBackup(host, id string, read func(name string, v *vault.Vault, e vault.Entry) error) error {
	name, v, _, err := a.kept(host, false)
	if err != nil {
		return err
	}
	release, err := v.Hold()
	if err != nil {
		return err
	}
	defer release()
	e, err := v.Find(id)
	if err != nil {
		return err
	}
	return read(name, v, e)
}

// addName is --host for commands that do not connect.
func addName(a *app, cmd *cobra.Command, host *string) {
	cmd.Flags().StringVar(host, "host", "", "the box whose backups are meant: its `name`")
	complete(cmd, "host", a.hostNames)
}

// BackupEntry is one backup in a list, as programs get it.
type BackupEntry struct {
	ID       string       `json:"id"`
	Taken    time.Time    `json:"taken,omitzero"`
	Bytes    int64        `json:"bytes,omitempty"`
	Parts    []BackupPart `json:"parts,omitempty"`
	Partial  bool         `json:"partial,omitempty"`
	Problem  string       `json:"problem,omitempty"`
	ageKnown bool
}

// BackupListData is a list of backups, as programs get it.
type BackupListData struct {
	Host    string        `json:"host"`
	Folder  string        `json:"folder"`
	Backups []BackupEntry `json:"backups"`
}

func newCmdBackupList(a *app) *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the backups of a host, the newest last",
		Long:    "List the backups of a host, the newest last. They are ordered by their number\nand not by a clock.",
		Example: "  ssg-bootstrap backup list --host oldpc\n  ssg-bootstrap backup list --host oldpc -o json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return backupListRun(a, host) },
	}
	addName(a, cmd, &host)
	return cmd
}

func backupListRun(a *app, host string) error {
	name, v, _, err := a.kept(host, false)
	if err != nil {
		return err
	}
	d := BackupListData{Host: name, Folder: v.Dir(), Backups: []BackupEntry{}}
	if d.Backups, err = listBackups(v, a.env.Now()); err != nil {
		return err
	}
	a.answer(d, func(w io.Writer) { d.write(w, a.width(), a.env.Now()) })
	return nil
}

func listBackups(v *vault.Vault, now time.Time) ([]BackupEntry, error) {
	entries, err := v.Entries()
	if err != nil {
		return nil, err
	}
	out := []BackupEntry{}
	for _, e := range entries {
		m, err := v.Manifest(e)
		b := BackupEntry{ID: e.ID, Taken: m.Taken, Parts: partsOf(m), Partial: m.Partial}
		for _, p := range m.Parts {
			b.Bytes += p.Bytes
		}
		if err != nil {
			b.Problem = err.Error()
		}
		_, b.ageKnown = vault.Age(m.Taken, now)
		out = append(out, b)
	}
	return out, nil
}

func (d BackupListData) write(w io.Writer, width int, now time.Time) {
	if len(d.Backups) == 0 {
		fmt.Fprintf(w, "No backups of %s in %s. `ssg-bootstrap backup --host %s` makes one.\n", d.Host, d.Folder, d.Host)
		return
	}
	t := report.Table{Right: []int{2}}
	for _, b := range d.Backups {
		switch {
		case b.Problem != "":
			t.Rows = append(t.Rows, []string{b.ID, "", "", b.Problem})
		default:
			t.Rows = append(t.Rows, []string{b.ID, b.Taken.Local().Format("2006-01-02 15:04"), report.Bytes(b.Bytes), b.age(now)})
		}
	}
	_ = t.Write(w, width)
}

func (b BackupEntry) age(now time.Time) string {
	if !b.ageKnown {
		return "from the future: a clock was wrong"
	}
	age, _ := vault.Age(b.Taken, now)
	text := "just now"
	if age >= time.Minute {
		text = report.Duration(age.Round(time.Minute)) + " ago"
	}
	if b.Partial {
		text += ", only what a restore replaced"
	}
	return text
}

// BackupShowData is one backup, as programs get it.
type BackupShowData struct {
	Host  string         `json:"host"`
	ID    string         `json:"id"`
	Taken time.Time      `json:"taken"`
	Parts []BackupPart   `json:"parts"`
	About recovery.About `json:"about"`
}

func newCmdBackupShow(a *app) *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use:     "show [ID]",
		Short:   "Show what a backup holds; the newest, if none is named",
		Example: "  ssg-bootstrap backup show --host oldpc\n  ssg-bootstrap backup show 12 --host oldpc",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return backupShowRun(a, host, latest(args)) },
	}
	addName(a, cmd, &host)
	cmd.ValidArgsFunction = a.backupIDs(&host)
	return cmd
}

func latest(args []string) string {
	if len(args) == 0 {
		return "latest"
	}
	return args[0]
}

func backupShowRun(a *app, host, id string) error {
	name, v, _, err := a.kept(host, false)
	if err != nil {
		return err
	}
	e, err := v.Find(id)
	if err != nil {
		return err
	}
	m, err := v.Manifest(e)
	if err != nil {
		return err
	}
	d := BackupShowData{Host: name, ID: e.ID, Taken: m.Taken, Parts: partsOf(m)}
	if d.About, err = recovery.ReadAbout(m); err != nil {
		return err
	}
	a.answer(d, func(w io.Writer) { d.write(w, a.width()) })
	return nil
}

func (d BackupShowData) write(w io.Writer, width int) {
	t := report.Table{}
	row := func(cells ...string) { t.Rows = append(t.Rows, cells) }
	row("backup", d.ID+" of "+d.Host+", taken at "+d.Taken.Local().Format("2006-01-02 15:04:05"))
	row("box", fmt.Sprintf("node %s, k3s %s", d.About.Node, d.About.K3s))
	if d.About.ImageTag != "" {
		row("application", "image tag "+d.About.ImageTag)
	}
	for _, p := range d.Parts {
		row("part", p.Name+", "+report.Bytes(p.Bytes))
	}
	if d.About.GTID != "" {
		row("database", "at "+d.About.GTID)
	}
	for _, x := range d.About.Tables {
		row("table", fmt.Sprintf("%s, %s, %.12s", report.Clean(x.Name), report.Count(x.Rows, "row"), x.Sum))
	}
	for _, q := range d.About.Queues {
		row("queue", fmt.Sprintf("%s, %s", report.Clean(q.Name), report.Count(q.Messages, "message")))
	}
	_ = t.Write(w, width)
}

// BackupVerifyData is a backup that was read back, as programs get it.
type BackupVerifyData struct {
	Host  string `json:"host"`
	ID    string `json:"id"`
	Bytes int64  `json:"bytes"`
}

func newCmdBackupVerify(a *app) *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use:     "verify [ID]",
		Short:   "Examine a backup by reading all of it; the newest, if none is named",
		Long:    "Examine a backup by reading all of it: every piece is decrypted and compared\nwith its SHA-256. One bit that changed is found.",
		Example: "  ssg-bootstrap backup verify --host oldpc\n  ssg-bootstrap backup verify 12 --host oldpc",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBackup(host, latest(args), func(name string, v *vault.Vault, e vault.Entry) error {
				return backupVerifyRun(cmd.Context(), a, name, v, e)
			})
		},
	}
	addName(a, cmd, &host)
	cmd.ValidArgsFunction = a.backupIDs(&host)
	return cmd
}

func backupVerifyRun(ctx context.Context, a *app, name string, v *vault.Vault, e vault.Entry) error {
	t := a.progress(backupID, "read backup "+e.ID)
	d := BackupVerifyData{Host: name, ID: e.ID}
	_, err := v.Verify(ctx, e, func(done, total int64) { d.Bytes = total; t.progress(done, total) })
	t.end(err)
	if err != nil {
		return err
	}
	a.answer(d, func(w io.Writer) {
		fmt.Fprintf(w, "Backup %s of %s is whole: %s were read and are what was written.\n", d.ID, d.Host, report.Bytes(d.Bytes))
	})
	return nil
}

// BackupPruneData is what a prune removed, as programs get it.
type BackupPruneData struct {
	Host    string   `json:"host"`
	Kept    []string `json:"kept"`
	Removed []string `json:"removed"`
	Pieces  int      `json:"pieces"`
	Bytes   int64    `json:"bytes"`
	DryRun  bool     `json:"dryRun,omitempty"`
}

func newCmdBackupPrune(a *app) *cobra.Command {
	var host string
	var dry bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the backups that need not be kept",
		Long: `Remove the backups that need not be kept, and then the pieces that no other
backup needs. Which are kept says backup.keep in the configuration: by default
the last 7, and the newest of 7 days, 4 weeks and 6 months. A backup that cannot
be read keeps everything.`,
		Example: "  ssg-bootstrap backup prune --host oldpc --dry-run\n  ssg-bootstrap backup prune --host oldpc",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return backupPruneRun(cmd.Context(), a, host, dry) },
	}
	addName(a, cmd, &host)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be removed")
	return cmd
}

func backupPruneRun(ctx context.Context, a *app, host string, dry bool) error {
	name, v, cfg, err := a.kept(host, false)
	if err != nil {
		return err
	}
	if _, err := v.Find("latest"); err != nil {
		return err
	}
	release, err := v.Lock()
	if err != nil {
		return err
	}
	defer release()
	last, daily, weekly, monthly := cfg.Backup.Keep.Numbers()
	done, err := v.Prune(ctx, vault.Keep{Last: last, Daily: daily, Weekly: weekly, Monthly: monthly}, dry)
	if err != nil {
		return err
	}
	d := BackupPruneData{Host: name, Kept: idsOf(done.Kept), Removed: idsOf(done.Removed), Pieces: done.Pieces, Bytes: done.Bytes, DryRun: dry}
	a.answer(d, func(w io.Writer) { d.write(w) })
	return nil
}

func idsOf(entries []vault.Entry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}

func (d BackupPruneData) write(w io.Writer) {
	verb := "Removed"
	if d.DryRun {
		verb = "Would remove"
	}
	fmt.Fprintf(w, "%s %s of %s, kept %d", verb, report.Count(len(d.Removed), "backup"), d.Host, len(d.Kept))
	if d.Pieces > 0 {
		fmt.Fprintf(w, "; %s freed", report.Bytes(d.Bytes))
	}
	fmt.Fprintln(w, ".")
}

// noBackup reports whether there is none at all, which is no failure to those
// who only want to know.
func noBackup(err error) bool { return fault.CodeOf(err) == fault.BackupNone }
