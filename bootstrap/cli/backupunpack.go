package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
)

// BackupUnpackData is what was written into a folder, as programs get it.
type BackupUnpackData struct {
	Host  string   `json:"host"`
	ID    string   `json:"id"`
	Into  string   `json:"into"`
	Files []string `json:"files"`
}

func newCmdBackupUnpack(a *app) *cobra.Command {
	var host, into string
	cmd := &cobra.Command{
		Use:   "unpack [ID]",
		Short: "Write what a backup knows of the computer that made it into a folder",
		Long: `Write what a backup knows of the computer that made it into a folder: the
configuration, the lock, values, the sealed secrets, and what was resolved from
them. It is where another computer begins when this one is lost. Files that are
there are not overwritten.`,
		Example: "  ssg-bootstrap backup unpack --host oldpc --into ./found",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return backupUnpackRun(a, host, latest(args), into) },
	}
	addName(a, cmd, &host)
	cmd.ValidArgsFunction = a.backupIDs(&host)
	cmd.Flags().StringVar(&into, "into", "", "the `folder`; it is made if it is not there")
	return cmd
}

func backupUnpackRun(a *app, host, id, into string) error {
	if into == "" {
		return fault.New(fault.Usage, "add --into FOLDER", "into which folder?")
	}
	return a.withBackup(host, id, func(name string, v *vault.Vault, e vault.Entry) error {
		files, err := filesOf(v, e)
		if err != nil {
			return err
		}
		return unpack(a, name, e.ID, into, files)
	})
}

func unpack(a *app, name, id, into string, files map[string][]byte) error {
	d := BackupUnpackData{Host: name, ID: id, Into: into, Files: slices.Sorted(maps.Keys(files))}
	for _, file := range d.Files {
		// A backup that somebody else made may call a file anything.
		if !filepath.IsLocal(file) || filepath.Base(file) != file {
			return fault.New(fault.BackupUnreadable, "", "backup %s names a file %q", id, file)
		}
		if _, err := os.Lstat(filepath.Join(into, file)); err == nil {
			return fault.New(fault.Usage, "give another folder", "%s is there already; nothing was written", filepath.Join(into, file))
		}
	}
	if err := os.MkdirAll(into, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	for _, file := range d.Files {
		if err := atomicfile.Write(filepath.Join(into, file), files[file], 0o600); err != nil {
			return err
		}
	}
	a.answer(d, func(w io.Writer) {
		for _, file := range d.Files {
			fmt.Fprintln(w, filepath.Join(into, file))
		}
	})
	return nil
}

// filesOf reads the part that takeComputer writes.
func filesOf(v *vault.Vault, e vault.Entry) (map[string][]byte, error) {
	m, err := v.Manifest(e)
	if err != nil {
		return nil, err
	}
	if err := recovery.Holds(m, []string{recovery.Computer}); err != nil {
		return nil, err
	}
	part, _ := m.Part(recovery.Computer)
	x, err := v.Index(e, part)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, piece := range x {
		data, err := v.Get(e, piece.Sum)
		if err != nil {
			return nil, err
		}
		text = append(text, data...)
	}
	var files map[string][]byte
	if err := json.Unmarshal(text, &files); err != nil {
		return nil, fmt.Errorf("read what backup %s knows of its computer: %w", e.ID, err)
	}
	return files, nil
}
