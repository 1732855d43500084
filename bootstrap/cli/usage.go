package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

const helpWidth = 80

// usage prints how a command is used, within 80 columns.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		t := report.Table{Indent: "  "}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				t.Rows = append(t.Rows, []string{sub.Name(), sub.Short})
			}
		}
		b.WriteString("\nCommands:\n")
		_ = t.Write(&b, helpWidth)
	}
	writeFlags(&b, "Flags", cmd.LocalNonPersistentFlags(), cmd)
	writeFlags(&b, "Flags of every command", everywhere(cmd), cmd)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n`%s COMMAND --help` tells more about a command.\n", cmd.CommandPath())
	}
	_, err := io.WriteString(cmd.OutOrStdout(), b.String())
	return err
}

func everywhere(cmd *cobra.Command) *pflag.FlagSet {
	if cmd.HasParent() {
		return cmd.InheritedFlags()
	}
	return cmd.PersistentFlags()
}

func writeFlags(b *strings.Builder, title string, flags *pflag.FlagSet, cmd *cobra.Command) {
	t := report.Table{Indent: "  "}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" && cmd.HasParent() {
			return
		}
		name, text := pflag.UnquoteUsage(f)
		left := "    --" + f.Name
		if f.Shorthand != "" {
			left = "-" + f.Shorthand + ", --" + f.Name
		}
		if f.NoOptDefVal == "" && name != "" {
			left += " " + strings.ToUpper(name)
		}
		t.Rows = append(t.Rows, []string{left, text})
	})
	if len(t.Rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	_ = t.Write(b, helpWidth)
}

// onlyCommands refuses words that are no command, and says which one may have
// been meant.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	next := "see `" + cmd.CommandPath() + " --help`"
	if close := cmd.SuggestionsFor(args[0]); len(close) > 0 {
		next = "did you mean `" + cmd.CommandPath() + " " + close[0] + "`?"
	}
	return fault.New(fault.Usage, next, "%s has no command %q", cmd.CommandPath(), args[0])
}
