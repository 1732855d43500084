package tailnet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tailscale.com/tsnet"
)

// WorkstationName is the tailnet's second node, which runs in this process.
const WorkstationName = "workstation"

// Workstation is a node of the tailnet on the workstation. It needs no device
// and no privilege; others reach the tailnet through its proxy.
type Workstation struct{ node *tsnet.Server }

// Join makes the node, which keeps its identity below the tailnet's folder.
func (s *Server) Join(ctx context.Context) (*Workstation, error) {
	dir := filepath.Join(s.dir, WorkstationName)
	secret, err := s.workstationKey(dir)
	if err != nil {
		return nil, err
	}
	node := &tsnet.Server{
		Dir:        dir,
		Hostname:   WorkstationName,
		ControlURL: s.ControlURL(),
		AuthKey:    secret,
		Logf:       quiet(s.log),
		UserLogf:   quiet(s.log),
	}
	if _, err := node.Up(ctx); err != nil {
		node.Close()
		return nil, fmt.Errorf("join the tailnet: %w", err)
	}
	return &Workstation{node}, nil
}

// workstationKey makes an auth key for a node that has not joined before; one
// that has comes back without.
func (s *Server) workstationKey(dir string) (secret string, err error) {
	_, missing := os.Stat(filepath.Join(dir, "tailscaled.state"))
	err = s.change(func(st *state) error {
		known := st.find(func(d *device) bool { return d.Hostname == WorkstationName && len(d.Tags) == 0 })
		if missing != nil || known == nil {
			secret = st.mint(authKey{Description: WorkstationName, Preauthorized: true}, time.Hour, s.now()).Secret
		}
		return nil
	})
	return secret, err
}

func quiet(log *slog.Logger) func(string, ...any) {
	return func(format string, args ...any) { log.Debug(fmt.Sprintf(format, args...), "part", WorkstationName) }
}

// Dial connects to a name or address of the tailnet.
func (w *Workstation) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return w.node.Dial(ctx, network, address)
}

// Close leaves; the identity stays.
func (w *Workstation) Close() error { return w.node.Close() }

// ServeHTTP is a proxy into the tailnet: a client CONNECTs to a name or an
// address in it, as with HTTPS_PROXY.
func (w *Workstation) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(answer, "this is a proxy for CONNECT", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	far, err := w.Dial(ctx, "tcp", r.Host)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	answer.WriteHeader(http.StatusOK)
	near, buffered, err := http.NewResponseController(answer).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	done := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // either side may go at any time
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		done <- struct{}{}
	}
	go pass(far, buffered)
	go pass(near, far)
	<-done
	<-done
}
