package github

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// retryAfter is how long a rate limit asks to wait: long enough to tell whether
// it is heeded, short enough to be waited for.
const retryAfter = 2 * time.Second

// Token returns the personal access token that may write, or that may only read.
func (s *Server) Token(write bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if write {
		return s.state.Tokens[tokenWrite]
	}
	return s.state.Tokens[tokenRead]
}

// Issue makes a registration token, as a settings page does.
func (s *Server) Issue() (string, error) {
	token := newToken()
	return token, s.set(func(st *state) {
		st.Issued[token] = issued{Purpose: forRegistration, Repository: DefaultRepository, Expires: s.options.Now().Add(tokenLife)}
	})
}

// Secrets are all tokens that this server knows, for tests that look for them
// where none may be.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(slices.Collect(maps.Values(s.state.Tokens)), slices.Collect(maps.Keys(s.state.Issued))...)
}

// Runners lists the runners of the owner's repository.
func (s *Server) Runners() []Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Runner{}
	for _, one := range s.state.Repositories[DefaultRepository].Runners {
		all = append(all, s.shown(one))
	}
	return all
}

// change does something to a runner of the owner's repository and keeps it.
func (s *Server) change(name string, do func(*repository, *runner)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.state.Repositories[DefaultRepository]
	one := repo.find(name)
	if one == nil {
		return fmt.Errorf("no runner %q is registered", name)
	}
	do(repo, one)
	s.wake()
	return s.keep()
}

// Busy says whether a job runs on a runner.
func (s *Server) Busy(name string, busy bool) error {
	return s.change(name, func(_ *repository, one *runner) { one.Busy = busy })
}

// Forget drops a runner, as after two weeks offline.
func (s *Server) Forget(name string) error {
	return s.change(name, func(repo *repository, one *runner) { s.dropRunner(repo, one.ID) })
}

// Update tells a runner to replace itself by a newer version. The lab's does
// what some versions did: it leaves a runsvc.sh without content.
func (s *Server) Update(name string) error {
	return s.change(name, func(_ *repository, one *runner) { one.Orders = append(one.Orders, MessageUpdate) })
}

// Exit tells a runner's listener to end with a code.
func (s *Server) Exit(name string, code int) error {
	return s.change(name, func(_ *repository, one *runner) {
		one.Orders = append(one.Orders, MessageExit+" "+strconv.Itoa(code))
	})
}

// split takes an order apart into type and body.
func split(order string) (kind, body string) {
	kind, body, _ = strings.Cut(order, " ")
	return kind, body
}

// set changes what is not about one runner and keeps it.
func (s *Server) set(do func(*state)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	do(&s.state)
	return s.keep()
}

// Fail makes the next requests to the API fail with a status. Path, if any, is a
// part of the path of those that are meant; what runners ask is never meant.
func (s *Server) Fail(code, times int, path string) error {
	if code < 400 || code > 599 || times < 0 {
		return fmt.Errorf("fail with %d %d times: want a status from 400 to 599", code, times)
	}
	return s.set(func(st *state) { st.Fail = &fail{Code: code, Times: times, Path: path} })
}

// CorruptHash makes the list of downloads name another checksum than the file's.
func (s *Server) CorruptHash(on bool) error { return s.set(func(st *state) { st.CorruptHash = on }) }

// Public makes the owner's repository public or private.
func (s *Server) Public(on bool) error {
	return s.set(func(st *state) { st.Repositories[DefaultRepository].Public = on })
}

// MinVersion sets the oldest runner that may register.
func (s *Server) MinVersion(version string) error {
	if !semver.IsValid("v" + version) {
		return fmt.Errorf("version %q: write it as %s", version, minimumVersion)
	}
	return s.set(func(st *state) { st.MinVersion = version })
}

// Deprecate says how long a version is good for: ok, soon, past, or unknown for
// one that GitHub tells nothing about.
func (s *Server) Deprecate(version, how string) error {
	if !semver.IsValid("v" + version) {
		return fmt.Errorf("version %q: write it as %s", version, RunnerVersion)
	}
	if !slices.Contains([]string{"ok", "soon", "past", "unknown"}, how) {
		return fmt.Errorf("deprecate %q: ok, soon, past or unknown", how)
	}
	return s.set(func(st *state) {
		if how == "unknown" {
			delete(st.Deprecations, version)
			return
		}
		st.Deprecations[version] = deprecations(how, s.options.Now())
	})
}

// deprecations are the dates of a version that is good for half a year, for ten
// days, or no more since yesterday.
func deprecations(how string, now time.Time) deprecation {
	const day = 24 * time.Hour
	until := now.Add(map[string]time.Duration{"ok": 180 * day, "soon": 10 * day, "past": -day}[how]).UTC().Truncate(time.Second)
	return deprecation{Runtime: until, Registration: until}
}

// failure tells whether a request is to fail, and with what.
func (s *Server) failure(r *http.Request) (code int, waits time.Duration) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v3")
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.state.Fail
	if f == nil || f.Times == 0 || !strings.HasPrefix(path, "/repos/") || !strings.Contains(path, f.Path) {
		return 0, 0
	}
	// Not kept: one more failure after a restart harms nobody.
	f.Times--
	return f.Code, retryAfter
}

// Turn does what words say, as they come from a command line, and returns what
// there is to show.
func (s *Server) Turn(words []string) (any, error) {
	if len(words) == 0 {
		return nil, errors.New("turn what?")
	}
	verb, args := words[0], words[1:]
	switch {
	case verb == "runners" && len(args) == 0:
		return s.Runners(), nil
	case verb == "log" && len(args) == 0:
		return s.Log(), nil
	case verb == "busy" && len(args) == 2:
		return nil, onOff(args[1], func(on bool) error { return s.Busy(args[0], on) })
	case verb == "forget" && len(args) == 1:
		return nil, s.Forget(args[0])
	case verb == "update" && len(args) == 1:
		return nil, s.Update(args[0])
	case verb == "exit" && len(args) == 2:
		return nil, whole(args[1], func(code int) error { return s.Exit(args[0], code) })
	case verb == "fail" && (len(args) == 2 || len(args) == 3):
		path := strings.Join(args[2:], "")
		return nil, whole(args[0], func(code int) error {
			return whole(args[1], func(times int) error { return s.Fail(code, times, path) })
		})
	case verb == "corrupt" && len(args) == 1:
		return nil, onOff(args[0], s.CorruptHash)
	case verb == "public" && len(args) == 1:
		return nil, onOff(args[0], s.Public)
	case verb == "min-version" && len(args) == 1:
		return nil, s.MinVersion(args[0])
	case verb == "deprecate" && len(args) == 2:
		return nil, s.Deprecate(args[0], args[1])
	}
	return nil, fmt.Errorf("GitHub cannot %q", strings.Join(words, " "))
}

func onOff(word string, do func(bool) error) error {
	if word != "on" && word != "off" {
		return fmt.Errorf("%q: on or off", word)
	}
	return do(word == "on")
}

func whole(word string, do func(int) error) error {
	n, err := strconv.Atoi(word)
	if err != nil {
		return fmt.Errorf("%q: write a whole number", word)
	}
	return do(n)
}
