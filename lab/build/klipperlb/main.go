// Command klipper-lb carries the traffic of one port of a LoadBalancer service
// from the node to the service. It takes the same variables as the program
// that k3s runs in its svclb pods, and promises the same to the outside: the
// port answers on the node, clients outside the service's source ranges are
// turned away. Unlike that one it forwards in user space, so it needs no
// iptables in its image.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, log); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	s, err := settingsFrom(getenv)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	log.Info("forwarding", "protocol", s.protocol, "port", s.listen, "to", s.targets, "from", s.sources)
	if s.protocol == "udp" {
		return serveUDP(ctx, s, log)
	}
	return serveTCP(ctx, s, log)
}
