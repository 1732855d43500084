package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

const purpose = `Make a production-shape Kubernetes box of an old PC.

Type the same line for the first time, the tenth time and after the disk died:

  ssg-bootstrap install --host oldpc

It brings the box from a fresh Debian to a Ready k3s cluster, changes only what
differs, and continues where a broken run stopped.`

// about says what the program is for, and what its exit statuses mean.
func about() string {
	var statuses []string
	for _, e := range fault.Exits() {
		statuses = append(statuses, fmt.Sprint(e.Exit, " ", e.Means))
	}
	return purpose + "\n\n" + report.Wrap("Exit statuses: "+strings.Join(statuses, "; ")+".", helpWidth)
}

// newRoot lists every command.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           program,
		Short:         "Make a production-shape Kubernetes box of an old PC",
		Long:          about(),
		Example:       "  ssg-bootstrap init\n  ssg-bootstrap plan --host oldpc\n  ssg-bootstrap install --host oldpc",
		Args:          onlyCommands,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.start()
		},
	}
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.SetUsageFunc(usage)
	root.SuggestionsMinimumDistance = 2
	f := root.PersistentFlags()
	f.StringVar(&a.config, "config", "", "configuration `file` (default: ./ssg-bootstrap.yaml, then the one in ~/.config/ssg-bootstrap)")
	f.StringVarP(&a.output, "output", "o", string(report.Auto), "how to report: auto, plain or json")
	f.CountVarP(&a.verbose, "verbose", "v", "tell every command that runs on the box; twice for more")
	complete(root, "output", func() []string { return []string{"auto", "plain", "json"} })
	root.AddCommand(
		newCmdInit(a),
		newCmdProfiles(a),
		newCmdDoctor(a),
		newCmdPlan(a),
		newCmdInstall(a),
		newCmdDeploy(a),
		newCmdRotate(a),
		newCmdBackup(a),
		newCmdRestore(a),
		newCmdStatus(a),
		newCmdBench(a),
		newCmdImages(a),
		newCmdKubeconfig(a),
		newCmdTunnel(a),
		newCmdRunner(a),
		newCmdDev(a),
		newCmdWorkflow(a),
		newCmdUninstall(a),
		newCmdVersion(a),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	describeGenerated(root)
	completeNoFiles(root)
	return root
}

// describeGenerated brings the commands that cobra makes into line with ours.
func describeGenerated(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Short = "Show the help of a command"
			cmd.Example = "  ssg-bootstrap help install"
		case "completion":
			cmd.Short = "Generate the completion script for a shell"
			cmd.Example = "  source <(ssg-bootstrap completion bash)"
			for _, shell := range cmd.Commands() {
				shell.Example = "  ssg-bootstrap completion " + shell.Name()
			}
		}
	}
}

// hostFlags choose the box.
type hostFlags struct {
	host    string
	hostKey string
}

func (f *hostFlags) add(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.host, "host", "", "the box: a `name` in the configuration, an alias in ~/.ssh/config, or user@address:port")
	cmd.Flags().StringVar(&f.hostKey, "host-key", "", "accept the host key with this `fingerprint` (SHA256:…) and pin it")
	complete(cmd, "host", a.reachable)
	_ = cmd.RegisterFlagCompletionFunc("host-key", cobra.NoFileCompletions)
}

// specFlags choose what should be true of the box.
type specFlags struct {
	profile    string
	only, skip []string
	updateLock bool
	// allowPublicRepo takes the risk of a public repository for this run.
	allowPublicRepo bool
	// imageTag is deploy's alone.
	imageTag string
	// join is the server that the box becomes an agent of.
	join string
}

func (f *specFlags) add(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.join, "join", "", "make the box an agent of this other `host`'s cluster; hosts.NAME.join makes it lasting")
	complete(cmd, "join", a.hostNames)
	cmd.Flags().StringVar(&f.profile, "profile", "", "a built-in `profile`, the path of one, or auto (default: the configuration's, else auto)")
	cmd.Flags().StringSliceVar(&f.only, "only", nil, "only this `step`; may be repeated")
	cmd.Flags().StringSliceVar(&f.skip, "skip", nil, "without this `step`; may be repeated")
	cmd.Flags().BoolVar(&f.updateLock, "update-lock", false, "let a changed release replace what ssg-bootstrap.lock pins")
	cmd.Flags().BoolVar(&f.allowPublicRepo, "allow-public-repo", false, "make the box a runner of a public repository, whose pull requests may run anything on it")
	complete(cmd, "profile", profileNames)
	complete(cmd, "only", stepNames)
	complete(cmd, "skip", stepNames)
}
