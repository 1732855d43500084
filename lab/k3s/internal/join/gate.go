package join

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
)

// Gate is the server's side. It stands before the API server's own handler, as
// k3s's supervisor does.
type Gate struct {
	// Secret is the token's.
	Secret string
	// Authority is the server's, in PEM.
	Authority []byte
	// Answer is the same for every agent but for its files.
	Answer Answer
	// Admit refuses a node whose password is not the one that is known.
	Admit func(ctx context.Context, node, password string) error
	// Issue makes the files of a node.
	Issue func(node, ip string) (map[string][]byte, error)
}

// Before returns a handler that answers agents and leaves all else to next.
func (g Gate) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case authorityPath:
			_, _ = w.Write(g.Authority)
		case joinPath:
			g.join(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (g Gate) join(w http.ResponseWriter, r *http.Request) {
	name, secret, ok := r.BasicAuth()
	if !ok || name != user || subtle.ConstantTimeCompare([]byte(secret), []byte(g.Secret)) != 1 {
		http.Error(w, "not authorized", http.StatusUnauthorized)
		return
	}
	var asked Request
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&asked)
	if err != nil || asked.Node == "" || asked.Password == "" || net.ParseIP(asked.IP) == nil {
		http.Error(w, "a node has a name, an address and a password", http.StatusBadRequest)
		return
	}
	if err := g.Admit(r.Context(), asked.Node, asked.Password); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	answer := g.Answer
	if answer.Files, err = g.Issue(asked.Node, asked.IP); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}
