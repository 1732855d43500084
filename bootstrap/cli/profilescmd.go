package cli

import (
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

func newCmdProfiles(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "profiles",
		Short:   "List the hardware profiles, or show one",
		Example: "  ssg-bootstrap profiles list\n  ssg-bootstrap profiles show core2duo-4gb",
		Args:    onlyCommands,
		RunE:    func(*cobra.Command, []string) error { return profilesListRun(a) },
	}
	list := &cobra.Command{
		Use:     "list",
		Short:   "List the built-in profiles",
		Example: "  ssg-bootstrap profiles list",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return profilesListRun(a) },
	}
	show := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a profile with the reasons for its values",
		Long: `Show a profile with the reasons for its values. The output is a profile of its
own: save it to a file, change it, and name the file as --profile. With -o json,
and for a file, what it extends is filled in.`,
		Example: "  ssg-bootstrap profiles show core2duo-4gb > mine.yaml\n  ssg-bootstrap profiles show mine.yaml -o json",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return profilesShowRun(a, args[0]) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return profiles.Names(), cobra.ShellCompDirectiveDefault
		},
	}
	cmd.AddCommand(list, show)
	return cmd
}

func profilesListRun(a *app) error {
	all := profiles.List()
	a.answer(all, func(w io.Writer) {
		t := report.Table{Head: []string{"PROFILE", "MEMORY", "FOR"}}
		for _, p := range all {
			t.Rows = append(t.Rows, []string{p.Name, memoryRange(p.For), p.Description})
		}
		_ = t.Write(w, a.width())
	})
	return nil
}

func memoryRange(f profiles.For) string {
	low, high := report.MemoryBytes(int64(f.MinMemory)), report.MemoryBytes(int64(f.MaxMemory))
	switch {
	case f.MinMemory == 0 && f.MaxMemory == 0:
		return "any"
	case f.MaxMemory == 0:
		return "from " + low
	case f.MinMemory == 0:
		return "below " + high
	}
	return low + " to " + high
}

func profilesShowRun(a *app, name string) error {
	p, err := profiles.Load(name)
	if err != nil {
		return err
	}
	text, err := profileText(name, p)
	if err != nil {
		return err
	}
	a.answer(p, func(w io.Writer) { fmt.Fprint(w, text) })
	return nil
}

// profileText is the built-in file with its comments, or the file's values
// with what it extends.
func profileText(name string, p profiles.Profile) (string, error) {
	if !profiles.IsPath(name) {
		src, err := profiles.Source(name)
		return string(src), err
	}
	out, err := yaml.Marshal(p)
	if err != nil {
		return "", fault.New(fault.Unclassified, "", "show profile %s: %w", name, err)
	}
	return string(out), nil
}

func profileNames() []string { return append([]string{"auto"}, profiles.Names()...) }
