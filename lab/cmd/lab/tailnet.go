package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

// homelabTag is what the lab's credentials may give.
const homelabTag = "tag:homelab"

func newTailnet(l *lab) *cobra.Command {
	command := &cobra.Command{
		Use:   "tailnet",
		Short: "See the lab's tailnet, reach the box through it, and make things go wrong there",
		Example: `  lab tailnet devices
  lab tailnet dial oldpc:6443
  lab tailnet hold-name oldpc dead
  lab tailnet down control`,
	}
	for _, one := range []struct {
		use, short string
		args       cobra.PositionalArgs
	}{
		{"up [control|api|relay]…", "Bring back what was taken down, or those parts of it", cobra.ArbitraryArgs},
		{"down [control|api|relay]…", "End all connections and refuse new ones until up", cobra.ArbitraryArgs},
		{"expire-keys", "Let every auth key that there is expire", cobra.NoArgs},
		{"expire NAME", "Let the key of a device expire", cobra.ExactArgs(1)},
		{"delete NAME", "Delete a device, as somebody does on the website", cobra.ExactArgs(1)},
		{"hold-name NAME [live|dead]", "Let another device have a name, one that is connected or one that is not", cobra.RangeArgs(1, 2)},
		{"release-name NAME", "Take that device away again", cobra.ExactArgs(1)},
		{"fault STATUS [TIMES]", "Answer the API's next requests with a status", cobra.RangeArgs(1, 2)},
		{"scopes SCOPE…", "Say what the API's client may do: auth_keys, devices:core, policy_file", cobra.ArbitraryArgs},
	} {
		command.AddCommand(&cobra.Command{Use: one.use, Short: one.short, Args: one.args, RunE: func(command *cobra.Command, args []string) error {
			_, err := l.tailnet(command.Context(), command.Name(), args...)
			return err
		}})
	}
	command.AddCommand(newTailnetKey(l), newTailnetDevices(l), newTailnetLog(l), newTailnetDial(l))
	return command
}

// tailnet turns a switch of the box's tailnet.
func (l *lab) tailnet(ctx context.Context, verb string, args ...string) ([]byte, error) {
	guest, err := l.find()
	if err != nil {
		return nil, err
	}
	return control.Dial(pathOf(guest, control.TailnetSocket)).TurnTailnet(ctx, verb, args...)
}

func newTailnetKey(l *lab) *cobra.Command {
	return &cobra.Command{
		Use:   "new-key [one-off|expired|tag:NAME]…",
		Short: "Make an auth key and print it; without words it is the lab's own from now on, for " + homelabTag,
		RunE: func(command *cobra.Command, args []string) error {
			said, err := l.tailnet(command.Context(), "new-key", args...)
			if err != nil {
				return err
			}
			var key string
			if err := json.Unmarshal(said, &key); err != nil {
				return fmt.Errorf("read the new key: %w", err)
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), key)
			return err
		},
	}
}

// tailnetDevice is what of a device is shown.
type tailnetDevice struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Tags      []string `json:"tags"`
	Connected bool     `json:"connectedToControl"`
}

func newTailnetDevices(l *lab) *cobra.Command {
	return newTailnetList(l, "devices", "The tailnet's devices", cobra.NoArgs, func(d tailnetDevice) string {
		state := "away"
		if d.Connected {
			state = "connected"
		}
		return strings.Join([]string{d.Name, d.Addresses[0], state, strings.Join(d.Tags, " ")}, "\t")
	})
}

// tailnetRequest is what of a request is shown.
type tailnetRequest struct {
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	Part   string    `json:"part"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Status int       `json:"status"`
	Write  bool      `json:"write"`
	Note   string    `json:"note"`
}

func newTailnetLog(l *lab) *cobra.Command {
	return newTailnetList(l, "log [NUMBER]", "What was asked of control and the API, or that after a request's number", cobra.MaximumNArgs(1), func(r tailnetRequest) string {
		kind := ""
		if r.Write {
			kind = "write"
		}
		return fmt.Sprintf("%d\t%s\t%s\t%s\t%s %s\t%d\t%s", r.Number, r.Time.Local().Format("15:04:05"), r.Part, kind, r.Method, r.Path, r.Status, r.Note)
	})
}

// newTailnetList makes a command that prints what the tailnet lists, one a line.
func newTailnetList[T any](l *lab, use, short string, args cobra.PositionalArgs, line func(T) string) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(command *cobra.Command, args []string) error {
		said, err := l.tailnet(command.Context(), command.Name(), args...)
		if err != nil {
			return err
		}
		if asJSON {
			_, err := command.OutOrStdout().Write(said)
			return err
		}
		var list []T
		if err := json.Unmarshal(said, &list); err != nil {
			return fmt.Errorf("read what the tailnet lists: %w", err)
		}
		table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, one := range list {
			fmt.Fprintln(table, line(one))
		}
		return table.Flush()
	}}
	command.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return command
}

func newTailnetDial(l *lab) *cobra.Command {
	return &cobra.Command{
		Use:   "dial NAME:PORT",
		Short: "Connect standard input and output to a port in the tailnet, from a node of the workstation's",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			guest, err := l.find()
			if err != nil {
				return err
			}
			info, err := control.Dial(pathOf(guest, control.TailnetSocket)).TailnetInfo(command.Context())
			if err != nil {
				return err
			}
			conn, err := control.DialTailnet(command.Context(), info.Proxy, args[0])
			if err != nil {
				return err
			}
			defer conn.Close()
			go func() {
				_, _ = io.Copy(conn, command.InOrStdin()) // the other side says when it is over
				if half, ok := conn.(interface{ CloseWrite() error }); ok {
					_ = half.CloseWrite()
				}
			}()
			_, err = io.Copy(command.OutOrStdout(), conn)
			return err
		},
	}
}

// tailnetMirror is the line of the installer's configuration that leads to
// Tailscale's packages.
func tailnetMirror(info control.Info) string {
	if info.Tailnet.Control == "" {
		return ""
	}
	return "  tailscale: " + info.Mirror + "/tailscale\n"
}

// tailnetConfig makes the box a node of the lab's tailnet. The box finds the
// control server at its neighbour's address.
func tailnetConfig(info control.Info) string {
	if info.Tailnet.Control == "" {
		return ""
	}
	box := strings.TrimSuffix(vm.TailnetControlAddr, ":80")
	return fmt.Sprintf("tailnet:\n  tags: [%q]\n  loginServer: http://%s\n  api: %s\n", homelabTag, box, info.Tailnet.API)
}

// addTailnet adds to what `lab env` prints.
func addTailnet(values map[string]string, info control.Info) {
	if info.Tailnet.Control == "" {
		return
	}
	values["tailscale"] = info.Mirror + "/tailscale"
	values["tailscale_authkey"] = info.Tailnet.AuthKey
	values["tailscale_client_id"] = info.Tailnet.ClientID
	values["tailscale_client_secret"] = info.Tailnet.ClientSecret
	values["tailnet_api"] = info.Tailnet.API
	values["tailnet_control"] = info.Tailnet.Control
	values["tailnet_proxy"] = info.Tailnet.Proxy
}

// tellTailnet says where the credentials of the tailnet are, if there is one.
func tellTailnet(ctx context.Context, out io.Writer, guest *vm.Guest) error {
	info, err := control.Dial(pathOf(guest, control.TailnetSocket)).TailnetInfo(ctx)
	if err != nil {
		_, err := fmt.Fprintln(out, "no tailnet     `lab build` makes what runs it, then `lab up` starts it")
		return err
	}
	_, err = fmt.Fprintf(out, "tailnet key    %s\n", info.AuthKey)
	return err
}
