package tailnet

import (
	"context"
	"fmt"
)

// ListenProxy opens the loopback port of the proxy into the tailnet, the one of
// the last time if it is free, and returns its URL.
func (s *Server) ListenProxy(ctx context.Context, through *Workstation) (string, error) {
	port := s.ports().Proxy
	listener, err := listenTCP(&port)
	if err != nil {
		return "", err
	}
	s.serve(ctx, listener, fromWorkstation, through)
	if err := s.change(func(st *state) error { st.Ports.Proxy = port; return nil }); err != nil {
		return "", fmt.Errorf("keep the proxy's port: %w", err)
	}
	return loopback(port), nil
}
