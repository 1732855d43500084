package reference

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cli"
)

// commandsPage shows of every command what its --help prints.
func commandsPage() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(made + "# Commands\n\nEach section is what `--help` prints.\n")
	err := walk(cli.Commands(), func(cmd *cobra.Command) error {
		help, err := helpOf(cmd)
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s\n```\n", cmd.CommandPath(), strings.TrimSpace(help))
		return err
	})
	return b.Bytes(), err
}

func helpOf(cmd *cobra.Command) (string, error) {
	var b strings.Builder
	cmd.Root().SetOut(&b)
	if err := cmd.Help(); err != nil {
		return "", fmt.Errorf("show the help of %s: %w", cmd.CommandPath(), err)
	}
	return b.String(), nil
}

// walk visits a command and those below it, except what cobra makes for every
// program alike.
func walk(cmd *cobra.Command, visit func(*cobra.Command) error) error {
	if err := visit(cmd); err != nil {
		return err
	}
	if cmd.Name() == "completion" {
		return nil
	}
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		if err := walk(sub, visit); err != nil {
			return err
		}
	}
	return nil
}
