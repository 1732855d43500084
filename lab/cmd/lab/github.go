package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
)

func newGitHub(l *lab) *cobra.Command {
	command := &cobra.Command{
		Use:   "github",
		Short: "See the runners that GitHub's stand-in knows, and make things go wrong there",
		Example: `  lab github runners
  lab github busy oldpc on
  lab github fail 500 2 registration-token
  lab github deprecate ` + github.RunnerVersion + ` soon`,
	}
	for _, one := range []struct {
		use, short string
		args       cobra.PositionalArgs
	}{
		{"busy NAME on|off", "Say that a job runs on a runner", cobra.ExactArgs(2)},
		{"forget NAME", "Drop a runner, as after two weeks offline", cobra.ExactArgs(1)},
		{"update NAME", "Let a runner replace itself; afterwards its runsvc.sh is empty", cobra.ExactArgs(1)},
		{"exit NAME CODE", "Let a runner's listener end with an exit code", cobra.ExactArgs(2)},
		{"fail CODE TIMES [PATH]", "Answer the next requests with a status, or those that have PATH in their path", cobra.RangeArgs(2, 3)},
		{"corrupt on|off", "Name another checksum than that of the runner's package", cobra.ExactArgs(1)},
		{"public on|off", "Make the repository public", cobra.ExactArgs(1)},
		{"min-version VERSION", "Refuse to register runners that are older", cobra.ExactArgs(1)},
		{"deprecate VERSION ok|soon|past|unknown", "Say how long a version of the runner is good for", cobra.ExactArgs(2)},
	} {
		command.AddCommand(&cobra.Command{Use: one.use, Short: one.short, Args: one.args, RunE: func(command *cobra.Command, args []string) error {
			_, err := l.github(command, append([]string{command.Name()}, args...)...)
			return err
		}})
	}
	command.AddCommand(newGitHubRunners(l), newGitHubLog(l))
	return command
}

// github passes words on to the stand-in that is in the background.
func (l *lab) github(command *cobra.Command, words ...string) ([]byte, error) {
	guest, err := l.find()
	if err != nil {
		return nil, err
	}
	return control.Dial(pathOf(guest, socketFile)).GitHub(command.Context(), words...)
}

// shows makes a command that prints what GitHub knows of one kind of thing.
func shows[T any](l *lab, use, short string, print func(io.Writer, []T) error) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(command *cobra.Command, _ []string) error {
		answer, err := l.github(command, use)
		if err != nil {
			return err
		}
		if asJSON {
			_, err := command.OutOrStdout().Write(answer)
			return err
		}
		var things []T
		if err := json.Unmarshal(answer, &things); err != nil {
			return fmt.Errorf("read what GitHub shows: %w", err)
		}
		table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
		if err := print(table, things); err != nil {
			return err
		}
		return table.Flush()
	}}
	command.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return command
}

func newGitHubRunners(l *lab) *cobra.Command {
	return shows(l, "runners", "List the runners of the repository", func(out io.Writer, runners []github.Runner) error {
		if len(runners) == 0 {
			_, err := fmt.Fprintln(out, "no runner is registered")
			return err
		}
		for _, r := range runners {
			var labels []string
			for _, label := range r.Labels {
				labels = append(labels, label.Name)
			}
			state := r.Status
			if r.Busy {
				state += ", busy"
			}
			if _, err := fmt.Fprintf(out, "%d\t%s\t%s\t%s\t%s\n", r.ID, r.Name, state, r.Version, strings.Join(labels, ",")); err != nil {
				return err
			}
		}
		return nil
	})
}

func newGitHubLog(l *lab) *cobra.Command {
	return shows(l, "log", "List the last requests, with who made them; a runner's questions for work are left out", func(out io.Writer, log []github.Entry) error {
		for _, e := range log {
			if _, err := fmt.Fprintf(out, "%d\t%s\t%d\t%s\t%s\t%s\n", e.Number, e.Time.Format("15:04:05"), e.Status, e.Method, e.Path, e.Who); err != nil {
				return err
			}
		}
		return nil
	})
}
