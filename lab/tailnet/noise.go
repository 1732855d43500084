package tailnet

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"golang.org/x/net/http2"
	"tailscale.com/control/controlhttp/controlhttpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// messageLimit is more than any honest node says at once.
const messageLimit = 1 << 20

// caller is a node that speaks through its encrypted connection.
type caller struct {
	machine key.MachinePublic
	way     way    // that it came
	base    string // URL of the control server as it has it
}

type callerKey struct{}

// control answers what nodes ask.
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /key", s.publicKey)
	mux.HandleFunc("/ts2021", s.upgrade)
	mux.HandleFunc("GET /generate_204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

// inside answers what nodes ask within their encrypted connections.
func (s *Server) inside() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /machine/register", s.register)
	mux.HandleFunc("POST /machine/map", s.poll)
	mux.HandleFunc("POST /machine/update-health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

func (s *Server) publicKey(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(tailcfg.OverTLSPublicKeyResponse{PublicKey: s.state.Noise.Public()})
}

// upgrade turns a connection into the protocol of control and serves it until
// it ends.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	conn, err := controlhttpserver.AcceptHTTP(r.Context(), w, r, s.state.Noise, nil)
	if err != nil {
		s.log.Debug("refused a node's connection", "err", err)
		return
	}
	defer conn.Close()
	from := caller{machine: conn.Peer(), way: wayOf(r.Context()), base: "http://" + r.Host}
	new(http2.Server).ServeConn(conn, &http2.ServeConnOpts{
		Context:    context.WithValue(r.Context(), callerKey{}, from),
		BaseConfig: &http.Server{Handler: s.inside()},
	})
}

// read takes a node's message and says who sent it.
func read(r *http.Request, message any) (caller, error) {
	from, ok := r.Context().Value(callerKey{}).(caller)
	if !ok {
		return caller{}, errors.New("not within an encrypted connection")
	}
	content, err := io.ReadAll(io.LimitReader(r.Body, messageLimit))
	if err != nil {
		return caller{}, err
	}
	return from, json.Unmarshal(content, message)
}
