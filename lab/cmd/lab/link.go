package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/link"
)

func newLink(l *lab) *cobra.Command {
	command := &cobra.Command{
		Use:   "link",
		Short: "Slow, delay, stall or cut the link to the box, and read its counters",
	}
	for _, knob := range []struct{ verb, short string }{
		{"cut", "Reset all connections and every new one until restore"},
		{"restore", "Take new connections again"},
		{"stall", "Let nothing through any more, without a sign; connections stay open"},
		{"resume", "Go on after a stall; nothing is lost"},
	} {
		command.AddCommand(&cobra.Command{
			Use: knob.verb, Short: knob.short, Args: cobra.NoArgs,
			RunE: func(command *cobra.Command, _ []string) error { return turn(l, command, knob.verb, "", "") },
		})
	}
	command.AddCommand(newLinkRate(l), newLinkLatency(l), newLinkCutAfter(l), newLinkStats(l))
	return command
}

func newLinkRate(l *lab) *cobra.Command {
	var way string
	command := &cobra.Command{
		Use:     "rate 2mbit|512kbit|unlimited",
		Short:   "Hold the link to a rate, each way by itself",
		Example: "  lab link rate 2mbit\n  lab link rate --way up 512kbit",
		Args:    cobra.ExactArgs(1),
		RunE:    func(command *cobra.Command, args []string) error { return turn(l, command, "rate", args[0], way) },
	}
	command.Flags().StringVar(&way, "way", "", "only up (to the box) or down")
	return command
}

func newLinkLatency(l *lab) *cobra.Command {
	return &cobra.Command{
		Use:   "latency 80ms",
		Short: "Delay each way by so much",
		Args:  cobra.ExactArgs(1),
		RunE:  func(command *cobra.Command, args []string) error { return turn(l, command, "latency", args[0], "") },
	}
}

func newLinkCutAfter(l *lab) *cobra.Command {
	return &cobra.Command{
		Use:   "cut-after up|down BYTES",
		Short: "Cut the link once so many more bytes have gone that way",
		Args:  cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return turn(l, command, "cut-after", args[1], args[0])
		},
	}
}

func turn(l *lab, command *cobra.Command, verb, value, way string) error {
	guest, err := l.find()
	if err != nil {
		return err
	}
	return control.Dial(pathOf(guest, socketFile)).Turn(command.Context(), verb, value, way)
}

func newLinkStats(l *lab) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "stats",
		Short: "What the link is set to and what it has counted",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			guest, err := l.find()
			if err != nil {
				return err
			}
			info, err := control.Dial(pathOf(guest, socketFile)).Info(command.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(command.OutOrStdout()).Encode(info.Link)
			}
			return printLink(command.OutOrStdout(), info.Link)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "for programs, with each of the last connections")
	return command
}

func printLink(out io.Writer, stats link.Stats) error {
	state := "open"
	switch {
	case stats.Cut:
		state = "cut"
	case stats.Stalled:
		state = "stalled"
	}
	_, err := fmt.Fprintf(out, "%s; up %s, %d bytes; down %s, %d bytes; latency %s; %d connections, %d refused\n",
		state, stats.UpRate, stats.Up, stats.DownRate, stats.Down, stats.Latency, stats.Opened, stats.Refused)
	return err
}
