package tailnet

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
)

// policyText is the policy as its file has it, with its comments.
type policyText string

func (p policyText) etag() string {
	sum := sha256.Sum256([]byte(p))
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func (s *Server) getPolicy(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return policyText(s.state.Policy), nil
}

func readPolicy(r *http.Request) (policyText, error) {
	content, err := io.ReadAll(io.LimitReader(r.Body, messageLimit))
	if err != nil {
		return "", refuse(http.StatusBadRequest, "cannot read the request: %v", err)
	}
	if _, err := tagOwners(string(content)); err != nil {
		return "", refuse(http.StatusBadRequest, "%v", err)
	}
	return policyText(content), nil
}

// setPolicy refuses to overwrite what somebody else wrote meanwhile.
func (s *Server) setPolicy(r *http.Request) (any, error) {
	fresh, err := readPolicy(r)
	if err != nil {
		return nil, err
	}
	return fresh, s.change(func(st *state) error {
		if match := r.Header.Get("If-Match"); match != "" && match != policyText(st.Policy).etag() {
			return refuse(http.StatusPreconditionFailed, "precondition failed, invalid old hash")
		}
		st.Policy = string(fresh)
		return nil
	})
}

func (s *Server) validatePolicy(r *http.Request) (any, error) {
	if _, err := readPolicy(r); err != nil {
		return map[string]string{"message": err.Error()}, nil
	}
	return map[string]any{}, nil
}
