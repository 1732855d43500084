package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

func newReset(l *lab) *cobra.Command {
	var noWait bool
	command := &cobra.Command{
		Use:   "reset",
		Short: "Give the box a fresh disk and new host keys, as after a reinstallation, and start it",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return reset(command.Context(), l, noWait, command.OutOrStdout())
		},
	}
	command.Flags().BoolVar(&noWait, "no-wait", false, "return at power-on instead of at the login")
	return command
}

func reset(ctx context.Context, l *lab, noWait bool, out io.Writer) error {
	opened, err := l.open()
	if err != nil {
		return err
	}
	guest, err := opened.Find(l.name)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := guest.Reset(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s has a fresh disk and power after %.1f s\n", l.name, time.Since(start).Seconds())
	if err := attach(ctx, opened, guest); err != nil || noWait {
		return err
	}
	if err := guest.Await(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "login after %.0f s\n", time.Since(start).Seconds())
	return err
}

type downOptions struct{ now, all, remove bool }

func newDown(l *lab) *cobra.Command {
	var options downOptions
	command := &cobra.Command{
		Use:   "down",
		Short: "Shut the box down and stop its link and mirror; its disk stays",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return down(command.Context(), l, options)
		},
	}
	flags := command.Flags()
	flags.BoolVar(&options.now, "now", false, "switch off instead of shutting down")
	flags.BoolVar(&options.all, "all", false, "all boxes")
	flags.BoolVar(&options.remove, "remove", false, "delete the disk too")
	return command
}

func down(ctx context.Context, l *lab, options downOptions) error {
	opened, err := l.open()
	if err != nil {
		return err
	}
	names := []string{l.name}
	if options.all {
		if names, err = opened.Names(); err != nil {
			return err
		}
	}
	for _, name := range names {
		guest, err := opened.Find(name)
		if errors.Is(err, vm.ErrNeverUp) {
			continue // down is what it is
		}
		if err != nil {
			return err
		}
		if err := stop(ctx, l, guest, options); err != nil {
			return err
		}
	}
	return nil
}

func stop(ctx context.Context, l *lab, guest *vm.Guest, options downOptions) error {
	if err := detach(ctx, guest); err != nil {
		return err
	}
	if err := withdraw(guest); err != nil {
		return err
	}
	name := guest.State().Name
	if options.remove {
		l.log.Info("removing", "box", name)
		return guest.Remove(ctx)
	}
	if options.now {
		return guest.Down(ctx)
	}
	if guest.Running() {
		l.log.Info("shutting down", "box", name)
	}
	return guest.Shutdown(ctx)
}

func newPowerCut(l *lab) *cobra.Command {
	var noWait bool
	command := &cobra.Command{
		Use:   "powercut",
		Short: "Take the power away and give it back: what was not flushed to the disk is lost",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			guest, err := l.find()
			if err != nil {
				return err
			}
			if err := guest.PowerCut(command.Context()); err != nil || noWait {
				return err
			}
			return guest.Await(command.Context())
		},
	}
	command.Flags().BoolVar(&noWait, "no-wait", false, "return at once instead of at the login")
	return command
}

func newCable(l *lab) *cobra.Command {
	return &cobra.Command{
		Use:       "cable in|out",
		Short:     "Plug the box's network cable in or out",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"in", "out"},
		RunE: func(command *cobra.Command, args []string) error {
			guest, err := l.find()
			if err != nil {
				return err
			}
			return guest.Plug(command.Context(), args[0] == "in")
		},
	}
}
