package github

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// What a personal access token may do.
const (
	tokenWrite = "write" // Administration: write, on the owner's repositories
	tokenRead  = "read"  // Administration: read
)

// What a short-lived token is for.
const (
	forRegistration = "registration"
	forRemoval      = "removal"
)

// minimumVersion is the oldest runner that may register.
const minimumVersion = "2.329.0"

// state is what outlives the server. It holds secrets.
type state struct {
	Tokens       map[string]string      `json:"tokens"` // by what they may do
	Repositories map[string]*repository `json:"repositories"`
	Issued       map[string]issued      `json:"issued"` // short-lived tokens
	LastID       int                    `json:"lastID"`
	MinVersion   string                 `json:"minVersion"`
	Deprecations map[string]deprecation `json:"deprecations"`
	Fail         *fail                  `json:"fail,omitempty"`
	CorruptHash  bool                   `json:"corruptHash,omitempty"`
}

type repository struct {
	Public  bool      `json:"public,omitempty"`
	Runners []*runner `json:"runners,omitempty"`
}

type runner struct {
	ID        int      `json:"id"`
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Labels    []label  `json:"labels"`
	Ephemeral bool     `json:"ephemeral,omitempty"`
	Busy      bool     `json:"busy,omitempty"`
	ClientID  string   `json:"clientID"`
	PublicKey rsaKey   `json:"publicKey"`
	Orders    []string `json:"orders,omitempty"` // what the listener is told with its next polls
}

type label struct {
	ID   int    `json:"id,omitempty"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// rsaKey is a public key as runners write it.
type rsaKey struct {
	Exponent []byte `json:"exponent"`
	Modulus  []byte `json:"modulus"`
}

type issued struct {
	Purpose    string    `json:"purpose"`
	Repository string    `json:"repository"`
	Expires    time.Time `json:"expires"`
}

// deprecation says until when a version may do what.
type deprecation struct {
	Runtime      time.Time `json:"runtime"`
	Registration time.Time `json:"registration"`
}

// fail makes the next requests fail.
type fail struct {
	Code  int    `json:"code"`
	Times int    `json:"times"`
	Path  string `json:"path,omitempty"` // part of the path; every one if empty
}

// readState returns the kept state, or a new one.
func readState(path string, now time.Time) (state, error) {
	var kept state
	content, err := os.ReadFile(path)
	switch {
	case path == "" || errors.Is(err, fs.ErrNotExist):
		return newState(now), nil
	case err != nil:
		return state{}, fmt.Errorf("read GitHub's state: %w", err)
	}
	if err := json.Unmarshal(content, &kept); err != nil {
		return state{}, fmt.Errorf("read GitHub's state: %s: %w", path, err)
	}
	return kept, nil
}

func newState(now time.Time) state {
	return state{
		// The prefix and the length are those of fine-grained tokens.
		Tokens: map[string]string{
			tokenWrite: "github_pat_" + random(22) + "_" + random(59),
			tokenRead:  "github_pat_" + random(22) + "_" + random(59),
		},
		Repositories: map[string]*repository{DefaultRepository: {}},
		Issued:       map[string]issued{},
		MinVersion:   minimumVersion,
		Deprecations: map[string]deprecation{RunnerVersion: deprecations("ok", now)},
	}
}

// writeState replaces the file in one step: whoever reads it at any time, or
// after a crash, finds a whole one.
func writeState(path string, s state) error {
	if path == "" {
		return nil
	}
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("keep GitHub's state: %w", err)
	}
	return WriteSecret(path, string(content)+"\n")
}

// WriteSecret replaces a file that only its owner may read.
func WriteSecret(path, content string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(content) // CreateTemp's mode is 0600
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// keep stores the state after a change; the caller holds the lock. A state that
// cannot be kept is no reason to refuse a request: it is said when it happens
// and still true as long as the server lives.
func (s *Server) keep() error { return writeState(s.options.State, s.state) }

// id returns a number that nothing else has.
func (s *Server) id() int {
	s.state.LastID++
	return s.state.LastID
}

// find returns a runner by name, or nil.
func (r *repository) find(name string) *runner {
	for _, one := range r.Runners {
		if one.Name == name {
			return one
		}
	}
	return nil
}

func (r *repository) drop(id int) bool {
	before := len(r.Runners)
	r.Runners = slices.DeleteFunc(r.Runners, func(one *runner) bool { return one.ID == id })
	return len(r.Runners) < before
}

// byID returns a runner of any repository, or nil.
func (s *Server) byID(id int) (*repository, *runner) {
	for _, repository := range s.state.Repositories {
		for _, one := range repository.Runners {
			if one.ID == id {
				return repository, one
			}
		}
	}
	return nil, nil
}

// random returns n letters and digits that nobody guesses.
func random(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	bytes := make([]byte, n)
	rand.Read(bytes) // never fails: the program ends first
	for i, b := range bytes {
		bytes[i] = letters[int(b)%len(letters)]
	}
	return string(bytes)
}
