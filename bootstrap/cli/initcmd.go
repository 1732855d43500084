package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
)

type initOptions struct {
	spec.Answers
	force bool
}

func newCmdInit(a *app) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init [NAME]",
		Short: "Write a commented ssg-bootstrap.yaml for one box",
		Long: `Write a commented ssg-bootstrap.yaml for one box. On a terminal it asks for what
the flags leave out; elsewhere NAME is needed and the rest has defaults. A file
that exists is not overwritten without --force.`,
		Example: "  ssg-bootstrap init\n  ssg-bootstrap init oldpc --address 192.168.1.20 --user me",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Name = args[0]
			}
			return initRun(cmd.Context(), a, o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&o.Address, "address", "", "host name, IP `address` or SSH alias of the box (default: NAME)")
	f.IntVar(&o.Port, "port", 0, "the SSH server's `port` (default: what ~/.ssh/config says, else 22)")
	f.StringVar(&o.User, "user", "", "the `login`, root or in the sudo group (default: what ~/.ssh/config says)")
	f.StringVar(&o.IdentityFile, "identity-file", "", "private key `file` (default: what ~/.ssh/config says, and the agent's)")
	f.StringVar(&o.Profile, "profile", "", "hardware `profile` (default: chosen from the hardware)")
	f.StringVar(&o.K3sMirror, "mirror", "", "`address` that stands in for https://github.com when k3s is fetched")
	f.StringVar(&o.HostKey, "host-key", "", "accept only the host key with this `fingerprint` (SHA256:…)")
	f.BoolVar(&o.force, "force", false, "overwrite a configuration that exists")
	complete(cmd, "profile", profileNames)
	return cmd
}

// InitData is what was written, as programs get it.
type InitData struct {
	Path string `json:"path"`
	Host string `json:"host"`
	// Identity is the file with the age identity that opens secrets and backups.
	Identity string `json:"identity"`
}

func initRun(ctx context.Context, a *app, o initOptions) error {
	path := a.config
	if path == "" {
		path = configName
	}
	if _, err := os.Lstat(path); !o.force && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, "edit it, or overwrite it with --force", "%s is there already", path)
	}
	// Whoever gave a wrong flag is told before being asked for the rest.
	if mistakes := o.Mistakes(); len(mistakes) > 0 {
		return &fault.Error{Code: fault.ConfigInvalid, Err: errors.New("this makes no valid configuration"), Evidence: strings.Join(mistakes, "\n"), Next: "correct it and run the command again"}
	}
	if err := o.ask(ctx, newPrompter(a)); err != nil {
		return err
	}
	text := spec.Template(o.Answers)
	full, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find %s: %w", path, err)
	}
	if err := atomicfile.Write(full, text, 0o644); err != nil {
		return err
	}
	// Now, so that there is something to keep a copy of before there is
	// something to lose.
	if _, err := secrets.WriteKeyring(a.stateDir(), nil, nil); err != nil {
		return err
	}
	identity := secrets.IdentityPath(a.stateDir())
	a.answer(InitData{Path: full, Host: o.Name, Identity: identity}, func(w io.Writer) {
		fmt.Fprintf(w, "Wrote %s. What next:\n\n%s\nSecrets and backups are encrypted for %s:\nkeep a copy where you would not lose both (docs/recovery.md).\n", path, a.ours(fmt.Sprintf("  ssg-bootstrap doctor --host %[1]s\n  ssg-bootstrap plan --host %[1]s\n", o.Name)), identity)
	})
	return nil
}

// ask completes the options on a terminal. Elsewhere only the name is needed.
func (o *initOptions) ask(ctx context.Context, p *prompter) error {
	if o.Name == "" {
		if err := o.question(ctx, p, &o.Name, "What do you call the box", "oldpc", "give it as in `ssg-bootstrap init oldpc`"); err != nil {
			return err
		}
	}
	if !p.possible() {
		return nil
	}
	for _, q := range []struct {
		into               *string
		question, fallback string
	}{
		{&o.Address, "Its address, or its name in ~/.ssh/config", o.Name},
		{&o.User, "Login there (empty: as in ~/.ssh/config)", ""},
		{&o.Profile, "Hardware profile (" + strings.Join(profileNames(), ", ") + ")", spec.Auto},
	} {
		if *q.into != "" {
			continue
		}
		if err := o.question(ctx, p, q.into, q.question, q.fallback, ""); err != nil {
			return err
		}
	}
	return nil
}

// question asks until the answer can be written: what was answered before it is
// not lost for a slip.
func (o *initOptions) question(ctx context.Context, p *prompter, into *string, question, fallback, instead string) error {
	for {
		answer, err := p.Ask(ctx, question, fallback, instead)
		if err != nil {
			return err
		}
		*into = answer
		mistakes := o.Mistakes()
		if len(mistakes) == 0 {
			return nil
		}
		p.show(mistakes[0] + "\n")
	}
}
