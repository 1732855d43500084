package reference

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cli"
)

// Manual returns a man page in section 1 for each command, by its file's name.
// The date in its footer is that of epoch, in seconds since 1970.
func Manual(epoch int64) (map[string][]byte, error) {
	date := time.Unix(epoch, 0).UTC()
	out := map[string][]byte{}
	root := cli.Commands()
	root.DisableAutoGenTag = true
	err := walk(root, func(cmd *cobra.Command) error {
		var b bytes.Buffer
		header := &doc.GenManHeader{Section: "1", Source: root.Name(), Manual: "User Commands", Date: &date}
		if err := doc.GenMan(cmd, header, &b); err != nil {
			return fmt.Errorf("make the man page of %s: %w", cmd.CommandPath(), err)
		}
		out[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"] = b.Bytes()
		return nil
	})
	return out, err
}

// Completions returns the completion script of each shell.
func Completions() (map[string][]byte, error) {
	root := cli.Commands()
	out := map[string][]byte{}
	for shell, write := range map[string]func(*bytes.Buffer) error{
		"bash":       func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"zsh":        func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"fish":       func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
		"powershell": func(b *bytes.Buffer) error { return root.GenPowerShellCompletionWithDesc(b) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return nil, fmt.Errorf("make the completion script for %s: %w", shell, err)
		}
		out[shell] = b.Bytes()
	}
	return out, nil
}
