package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// apiAddress is where k3s serves the API on the box.
const apiAddress = "127.0.0.1:6443"

type tunnelOptions struct {
	hostFlags
	port    int
	command []string
}

func newCmdTunnel(a *app) *cobra.Command {
	var o tunnelOptions
	cmd := &cobra.Command{
		Use:   "tunnel [-- COMMAND [ARG...]]",
		Short: "Open a local port to the cluster's API, over SSH",
		Long: `Open a local port to the cluster's API, over SSH. It is the same port each time,
the one that the kubeconfig's context names. It stays open until Ctrl-C and
reconnects when the connection is lost; with a command, until that ends.`,
		Example: "  ssg-bootstrap tunnel --host oldpc\n  ssg-bootstrap tunnel --host oldpc -- kubectl --context oldpc get pods -A",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.command = args
			return tunnelRun(cmd.Context(), a, o)
		},
	}
	o.hostFlags.add(a, cmd)
	cmd.Flags().IntVar(&o.port, "port", 0, "listen on this local `port` instead; the kubeconfig will not know it")
	return cmd
}

func tunnelRun(ctx context.Context, a *app, o tunnelOptions) error {
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.apiAnswers(ctx); err != nil {
		return err
	}
	if o.port == 0 {
		if o.port, err = tunnelPort(a.stateDir(), s.name); err != nil {
			return err
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port)))
	if err != nil {
		return fault.New(fault.Usage, "is the tunnel open already? Else choose another with --port", "open the local port: %w", err)
	}
	if len(o.command) > 0 {
		return s.serveWhile(ctx, l, apiAddress, func(ctx context.Context) error { return a.runCommand(ctx, o.command) })
	}
	a.untilStopped()
	a.tell(fmt.Sprintf("%s's API is at https://%s, until Ctrl-C. In another terminal: kubectl --context %s get nodes", s.name, l.Addr(), s.name))
	err = s.serveWhile(ctx, l, apiAddress, func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// serveWhile keeps a tunnel to the address open while work runs, and ends both together.
func (s *session) serveWhile(ctx context.Context, l net.Listener, address string, work func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.client.Tunnel(ctx, l, address); err != nil {
			cancel(fmt.Errorf("serve the tunnel: %w", err))
		}
	}()
	err := work(ctx)
	cancel(nil)
	<-done
	return err
}

// apiAnswers finds out before a port is opened whether it would lead anywhere.
func (s *session) apiAnswers(ctx context.Context) error {
	conn, err := s.client.Dial(ctx, "tcp", apiAddress)
	if err == nil {
		return conn.Close()
	}
	if fault.CodeOf(err) != fault.Unclassified || ctx.Err() != nil {
		return err
	}
	return &fault.Error{
		Code: fault.NotInstalled, Op: "reach the API on " + s.name, Err: err,
		Next: "see what is there with `ssg-bootstrap status --host " + s.name + "`, then `ssg-bootstrap install --host " + s.name + "`",
	}
}

// runCommand runs what the user gave after "--" with our own streams.
func (a *app) runCommand(ctx context.Context, argv []string) error {
	a.close()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.env.Stdin, a.env.Stdout, a.env.Stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fault.New(fault.CommandFailed, "see its own output above", "%s: %w", argv[0], err)
	}
	return nil
}
