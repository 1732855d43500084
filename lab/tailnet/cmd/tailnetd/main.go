// Command tailnetd runs the lab's tailnet for one box: control server, API,
// relay, and a node of the workstation's own with a proxy into the tailnet. It
// promises that nothing of it listens for others than the workstation's user
// and the box, and that it never speaks with Tailscale's own servers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"tailscale.com/envknob"

	"github.com/omkar619-dev/ssg-bootstrap/lab/tailnet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("tailnetd", flag.ContinueOnError)
	dir := flags.String("dir", "", "the box's folder: sockets are made in it, the rest in its folder tailnet")
	debug := flags.Bool("debug", false, "say everything")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("--dir: say which box's folder")
	}
	stayHome()
	level := slog.LevelInfo
	if *debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	unlock, err := lock(ctx, *dir)
	if err != nil {
		return err
	}
	defer unlock()
	server, err := tailnet.Open(filepath.Join(*dir, "tailnet"), log)
	if err != nil {
		return err
	}
	defer server.Close()
	sockets := tailnet.Sockets{Control: filepath.Join(*dir, "tailnet-control.sock"), Relay: filepath.Join(*dir, "tailnet-derp.sock")}
	if err := errors.Join(server.Listen(ctx, sockets), server.WriteCredentials()); err != nil {
		return err
	}
	return serve(ctx, server, log, filepath.Join(*dir, "tailnet.sock"))
}

// lock waits until no other process has the box's tailnet: one that was told to
// end takes a moment. The kernel frees the lock when its holder dies.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "tailnet.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the tailnet: %w", err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the tailnet: %w", err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the tailnet's last process: %w", ctx.Err()), file.Close())
		case <-tick.C:
		}
	}
}

// serve opens the switches at once and joins in the background, for the latter
// waits for a control server that may be switched off.
func serve(ctx context.Context, server *tailnet.Server, log *slog.Logger, socket string) error {
	var proxy atomic.Pointer[string]
	info := func() tailnet.Info {
		info := server.Describe()
		if url := proxy.Load(); url != nil {
			info.Proxy = *url
		}
		return info
	}
	if err := server.ServeSwitches(ctx, socket, info); err != nil {
		return err
	}
	workstation, err := server.Join(ctx)
	if err != nil {
		return err
	}
	defer workstation.Close()
	url, err := server.ListenProxy(ctx, workstation)
	if err != nil {
		return err
	}
	proxy.Store(&url)
	log.Info("the tailnet is up", "control", server.ControlURL(), "api", server.APIURL(), "proxy", url)
	<-ctx.Done()
	return nil
}

// stayHome keeps the workstation's node from Tailscale's own servers.
func stayHome() {
	envknob.SetNoLogsNoSupport()
	for _, knob := range []string{"TS_PANIC_IF_HIT_MAIN_CONTROL", "TS_DISABLE_PORTMAPPER", "TS_ASSUME_NETWORK_UP_FOR_TEST"} {
		envknob.Setenv(knob, "1")
	}
}
