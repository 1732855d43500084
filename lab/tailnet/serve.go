package tailnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// way is how a node reaches the tailnet's servers.
type way int

const (
	fromWorkstation way = iota // by loopback
	fromBox                    // by a socket that the emulator leads to
)

type wayKey struct{}

func wayOf(ctx context.Context) way {
	by, _ := ctx.Value(wayKey{}).(way)
	return by
}

// Sockets are the unix sockets that the tailnet answers on for a box; empty
// ones are left out.
type Sockets struct {
	Control string
	Relay   string
}

// Listen opens loopback ports, those of the last time if they are free, and the
// box's sockets, and serves on them until the context ends.
func (s *Server) Listen(ctx context.Context, sockets Sockets) error {
	certificate, err := s.relayTLS()
	if err != nil {
		return err
	}
	ports := s.state.Ports
	control, err := listenTCP(&ports.Control)
	if err != nil {
		return err
	}
	s.serve(ctx, s.gates[controlPart].listen(control), fromWorkstation, s.control())
	api, err := listenTCP(&ports.API)
	if err != nil {
		return err
	}
	s.serve(ctx, s.gates[apiPart].listen(api), fromWorkstation, s.api())
	relay, err := listenTCP(&ports.Relay)
	if err != nil {
		return err
	}
	s.serve(ctx, s.gates[relayPart].listen(relay), fromWorkstation, s.relayHandler(), certificate)
	if err := s.change(func(st *state) error { st.Ports = ports; return nil }); err != nil {
		return err
	}
	return s.listenForBox(ctx, sockets, certificate)
}

func (s *Server) listenForBox(ctx context.Context, sockets Sockets, certificate *tls.Config) error {
	if sockets.Control != "" {
		listener, err := listenUnix(sockets.Control)
		if err != nil {
			return err
		}
		s.serve(ctx, s.gates[controlPart].listen(listener), fromBox, s.control())
	}
	if sockets.Relay != "" {
		listener, err := listenUnix(sockets.Relay)
		if err != nil {
			return err
		}
		s.serve(ctx, s.gates[relayPart].listen(listener), fromBox, s.relayHandler(), certificate)
	}
	return nil
}

// serve answers on a listener, with TLS if there is a configuration for it.
func (s *Server) serve(ctx context.Context, listener net.Listener, by way, handler http.Handler, secured ...*tls.Config) {
	for _, config := range secured {
		listener = tls.NewListener(listener, config)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // of clients that hang up
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(ctx, wayKey{}, by) },
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }() // ends with the context, and says only that
}

// listenTCP opens the port, or a free one when that is taken, and says which.
func listenTCP(port *int) (net.Listener, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		listener, err = net.Listen("tcp4", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("open the tailnet: %w", err)
	}
	*port = listener.Addr().(*net.TCPAddr).Port
	return listener, nil
}

// listenUnix opens a socket; what lies there is a dead one's, for one process
// at a time has a box's tailnet.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the tailnet: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the tailnet: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the tailnet: %w", err), listener.Close())
	}
	return listener, nil
}

// loopback is the URL of something of ours on loopback.
func loopback(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// ControlURL is where a node on the workstation finds the control server.
func (s *Server) ControlURL() string { return loopback(s.ports().Control) }

// APIURL is the base of Tailscale's API v2.
func (s *Server) APIURL() string { return loopback(s.ports().API) }

func (s *Server) ports() Ports {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Ports
}
