package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

// lab is what all commands share.
type lab struct {
	log  *slog.Logger
	name string // of the box
}

func (l *lab) open() (vm.Lab, error) { return vm.Open(l.log) }

// find returns the box that the command is about.
func (l *lab) find() (*vm.Guest, error) {
	opened, err := l.open()
	if err != nil {
		return nil, err
	}
	return opened.Find(l.name)
}

func newRoot(log *slog.Logger) *cobra.Command {
	l := &lab{log: log}
	root := &cobra.Command{
		Use:   "lab",
		Short: "Run an emulated 2008 PC (Core 2 Duo, 4 GB, Debian 13) and the bad link in front of it",
		Long: `The lab is a box to install on: a fresh Debian 13 on an emulated Core 2 Duo
with 4 GB of memory and a 500 GB disk, reached through a link that can be slowed,
stalled and cut. A mirror beside it has the releases that the installer fetches.
Everything is on loopback, and the box reaches nothing but stand-ins for GitHub
and Tailscale.

  lab up           build what is missing, start, wait for SSH, say how to reach it
  lab reset        a fresh disk and new host keys, as after a reinstallation
  lab link rate 2mbit
  lab ssh          a shell on the box
  lab down         shut the box down; its disk stays`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&l.name, "name", vm.DefaultName, "the box, when there are several")
	root.AddCommand(
		newUp(l), newReset(l), newDown(l), newSSH(l), newBuild(l),
		newStatus(l), newEnv(l), newLink(l), newGitHub(l), newTailnet(l), newPowerCut(l), newCable(l), newServe(l),
	)
	return root
}
