package tailnet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// Info is what a running tailnet says of itself.
type Info struct {
	PID     int    `json:"pid"`
	Control string `json:"control"` // URL of the control server, on the workstation
	API     string `json:"api"`     // base URL of the API, on the workstation
	Proxy   string `json:"proxy"`   // into the tailnet; empty until the workstation has joined
	// Files with the credentials of the lab, 0600.
	AuthKey      string `json:"authKey"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
}

// Files of the credentials in the tailnet's folder.
const (
	authKeyFile      = "authkey"
	clientIDFile     = "client-id"
	clientSecretFile = "client-secret"
)

// WriteCredentials puts the lab's credentials into files of the tailnet's folder.
func (s *Server) WriteCredentials() error {
	credentials, err := s.Credentials()
	if err != nil {
		return err
	}
	for name, secret := range map[string]string{
		authKeyFile: credentials.AuthKey, clientIDFile: credentials.ClientID, clientSecretFile: credentials.ClientSecret,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(secret+"\n"), 0o600); err != nil {
			return fmt.Errorf("write the tailnet's credentials: %w", err)
		}
	}
	return nil
}

// ServeSwitches lets the lab's other programs turn switches, on a socket that
// only its owner can open, until the context ends.
func (s *Server) ServeSwitches(ctx context.Context, socket string, info func() Info) error {
	listener, err := listenUnix(socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) { answer(w, info()) })
	mux.HandleFunc("POST /turn", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		said, err := s.Turn(r.PostForm.Get("verb"), r.PostForm["arg"])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, said)
	})
	s.serve(ctx, listener, fromWorkstation, mux)
	return nil
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// Describe is the tailnet's own part of what it says of itself.
func (s *Server) Describe() Info {
	return Info{
		PID: os.Getpid(), Control: s.ControlURL(), API: s.APIURL(),
		AuthKey: filepath.Join(s.dir, authKeyFile), ClientID: filepath.Join(s.dir, clientIDFile), ClientSecret: filepath.Join(s.dir, clientSecretFile),
	}
}
