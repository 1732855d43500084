package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

// boxStatus is what `lab status` says of one box.
type boxStatus struct {
	Name    string        `json:"name"`
	Running bool          `json:"running"`
	PID     int           `json:"pid,omitempty"`
	State   vm.State      `json:"state"`
	Serving *control.Info `json:"serving,omitempty"`
}

func newStatus(l *lab) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "status",
		Short: "Say which boxes there are, how they run and what their links have seen",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return status(command.Context(), l, asJSON, command.OutOrStdout())
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return command
}

func status(ctx context.Context, l *lab, asJSON bool, out io.Writer) error {
	opened, err := l.open()
	if err != nil {
		return err
	}
	names, err := opened.Names()
	if err != nil {
		return err
	}
	boxes := []boxStatus{}
	for _, name := range names {
		guest, err := opened.Find(name)
		if err != nil {
			return err
		}
		box := boxStatus{Name: name, Running: guest.Running(), PID: guest.Pid(), State: guest.State()}
		info, err := control.Dial(pathOf(guest, socketFile)).Info(ctx)
		if err == nil {
			box.Serving = &info
		} else if !errors.Is(err, control.ErrNotServing) {
			return err
		}
		boxes = append(boxes, box)
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(boxes)
	}
	if len(boxes) == 0 {
		_, err := fmt.Fprintln(out, "no boxes: `lab up` makes one")
		return err
	}
	for _, box := range boxes {
		if err := printBox(out, box); err != nil {
			return err
		}
	}
	return nil
}

func printBox(out io.Writer, box boxStatus) error {
	state := "off"
	if box.Running {
		state = fmt.Sprintf("on since %s, %s, process %d", box.State.Started.Local().Format("15:04:05"), box.State.Accel, box.PID)
	}
	if _, err := fmt.Fprintf(out, "%s: %s\n", box.Name, state); err != nil || box.Serving == nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "  mirror   %s\n  registry %s\n  link     127.0.0.1:%d, ", box.Serving.Mirror, box.Serving.Registry, box.Serving.LinkPort); err != nil {
		return err
	}
	return printLink(out, box.Serving.Link)
}

func newSSH(l *lab) *cobra.Command {
	command := &cobra.Command{
		Use:   "ssh [command…]",
		Short: "A shell on the box, or one command, through the link",
		RunE: func(_ *cobra.Command, args []string) error {
			guest, err := l.find()
			if err != nil {
				return err
			}
			path, err := exec.LookPath("ssh")
			if err != nil {
				return fmt.Errorf("find ssh: %w", err)
			}
			argv := append([]string{"ssh", "-F", pathOf(guest, sshConfigFile), guest.State().Name}, args...)
			return fmt.Errorf("run ssh: %w", syscall.Exec(path, argv, os.Environ()))
		},
	}
	// What follows the first word is the box's command line, flags and all.
	command.Flags().SetInterspersed(false)
	return command
}

func newEnv(l *lab) *cobra.Command {
	return &cobra.Command{
		Use:   "env [key]",
		Short: "Print where everything of the box is, or one of it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			opened, err := l.open()
			if err != nil {
				return err
			}
			guest, err := opened.Find(l.name)
			if err != nil {
				return err
			}
			return env(command.Context(), opened, guest, args, command.OutOrStdout())
		},
	}
}

func env(ctx context.Context, opened vm.Lab, guest *vm.Guest, args []string, out io.Writer) error {
	ports := guest.State().Ports
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	values := map[string]string{
		"dir":           guest.Dir(),
		"config":        pathOf(guest, configFile),
		"ssh_config":    pathOf(guest, sshConfigFile),
		"identity":      guest.IdentityFile(),
		"known_hosts":   guest.KnownHostsFile(),
		"sudo_password": guest.PasswordFile(),
		"github_token":  pathOf(guest, githubTokenFile),
		"github_reader": pathOf(guest, githubReaderFile),
		"console":       guest.Console(),
		"releases":      opened.Mirror(),
		"images":        opened.Images(),
		"ssh":           guest.SSHAddr(),
		"lan_6443":      at(ports.API),
		"lan_80":        at(ports.HTTP),
		"lan_443":       at(ports.HTTPS),
	}
	if info, err := control.Dial(pathOf(guest, socketFile)).Info(ctx); err == nil {
		values["link"] = at(info.LinkPort)
		values["mirror"] = info.Mirror
		values["registry"] = info.Registry
		values["github"] = info.GitHub
		values["helm"] = info.Mirror + "/helm"
		addTailnet(values, info)
	}
	var keys []string
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if len(args) == 1 {
		value, ok := values[args[0]]
		if !ok {
			return fmt.Errorf("no %q here: there are %s", args[0], strings.Join(keys, ", "))
		}
		_, err := fmt.Fprintln(out, value)
		return err
	}
	for _, key := range keys {
		if _, err := fmt.Fprintf(out, "%s=%s\n", key, values[key]); err != nil {
			return err
		}
	}
	return nil
}
