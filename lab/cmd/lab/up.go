package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
	"github.com/omkar619-dev/ssg-bootstrap/lab/workstation"
)

type upOptions struct {
	vm      vm.Options
	clock   string
	noBuild bool
	out     io.Writer
}

func newUp(l *lab) *cobra.Command {
	var options upOptions
	command := &cobra.Command{
		Use:   "up",
		Short: "Build what is missing, start the box, wait for SSH and say how to reach it",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			options.out = command.OutOrStdout()
			return up(command.Context(), l, options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.clock, "rtc", "", "what the box's clock shows at power-on, such as 2031-01-31T12:00:00Z (systemd never goes back behind its own release)")
	flags.IntVar(&options.vm.MemoryMiB, "memory", 0, "memory in MiB (default 4096)")
	flags.IntVar(&options.vm.CPUs, "cpus", 0, "processors (default 2)")
	flags.StringVar(&options.vm.Accel, "accel", "", "tcg or kvm (default: $LAB_ACCEL, else what a short boot shows to work)")
	flags.StringArrayVar(&options.vm.Append, "append", nil, "add to the kernel's command line")
	flags.BoolVar(&options.noBuild, "no-build", false, "start the box even if the mirror has no releases yet")
	return command
}

func up(ctx context.Context, l *lab, options upOptions) error {
	options.vm.Name = l.name
	if options.clock != "" {
		clock, err := time.Parse(time.RFC3339, options.clock)
		if err != nil {
			return fmt.Errorf("read --rtc: %w", err)
		}
		options.vm.Clock = clock.UTC()
	}
	opened, err := l.open()
	if err != nil {
		return err
	}
	if !options.noBuild {
		if _, err := buildAll(ctx, l, opened); err != nil {
			return err
		}
	}
	start := time.Now()
	guest, err := opened.Up(ctx, options.vm)
	if err != nil {
		return err
	}
	if err := attach(ctx, opened, guest); err != nil {
		return err
	}
	if err := dropStalePins(pathOf(guest, lockFile), opened.Mirror()); err != nil {
		return err
	}
	fmt.Fprintf(options.out, "%s is up (%s, login after %.0f s)\n", l.name, guest.State().Accel, time.Since(start).Seconds())
	if err := tell(options.out, guest); err != nil {
		return err
	}
	return tellTailnet(ctx, options.out, guest)
}

// tell says how to reach the box.
func tell(out io.Writer, guest *vm.Guest) error {
	name := guest.State().Name
	_, err := fmt.Fprintf(out, `
  ssh -F %[1]s %[2]s
  ssg-bootstrap --config %[3]s install --host %[2]s

sudo password  %[4]s
GitHub token   %[6]s
console        %[5]s
`, pathOf(guest, sshConfigFile), name, pathOf(guest, configFile), guest.PasswordFile(), guest.Console(), pathOf(guest, githubTokenFile))
	return err
}

func newBuild(l *lab) *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build what is missing: the releases that the mirror serves, and the box's disk",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			opened, err := l.open()
			if err != nil {
				return err
			}
			image, err := buildAll(command.Context(), l, opened)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "disk      %s\nreleases  %s\n", image.Dir, opened.Mirror())
			return err
		},
	}
}

// buildAll builds what is missing. What asks for the owner's password comes
// first, for half an hour later nobody sits there any more; and all packages
// together, so that who has to ask somebody else for them asks once.
func buildAll(ctx context.Context, l *lab, opened vm.Lab) (vm.Image, error) {
	if missing := append(build.Missing(ctx), vm.Missing()...); len(missing) > 0 {
		if err := workstation.Here().Install(ctx, l.log, missing); err != nil {
			return vm.Image{}, err
		}
	}
	image, err := opened.EnsureImage(ctx)
	if err != nil {
		return vm.Image{}, err
	}
	return image, build.All(ctx, l.log)
}
