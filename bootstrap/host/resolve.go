package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// ResolveOptions say where to look.
type ResolveOptions struct {
	// Home is the user's home folder and User the login name here.
	Home, User string
	// ConfigFile is read instead of ~/.ssh/config and the system's file.
	ConfigFile string
	// HostKeys are fingerprints of the box that the user vouches for; jumps
	// are not covered by them.
	HostKeys []string
	// NoSSH reads the configuration without the help of an ssh program.
	NoSSH bool
}

// maxJumps bounds chains of jumps, which may name each other.
const maxJumps = 8

// ResolveTarget finds out what name means: a host of the configuration (known),
// an alias of ~/.ssh/config, or user@address:port. Everything else is
// fault.HostUnknown.
func ResolveTarget(ctx context.Context, name string, known map[string]TargetConfig, o ResolveOptions) (Target, error) {
	r := &resolver{ctx: ctx, known: known, opts: o}
	t, err := r.resolve(name, true, nil)
	if err != nil {
		return Target{}, err
	}
	t.Name, t.typed = name, name
	if cfg, ok := known[name]; !ok || cfg.Address == "" {
		if u, a, _, err := splitAddress(name); err == nil && u != "" {
			t.Name = a
		}
	}
	t.HostKeys = append(slices.Clone(o.HostKeys), t.HostKeys...)
	if len(o.HostKeys) > 0 {
		// What is typed now is newer than what was written down.
		t.HostKeys = slices.Clone(o.HostKeys)
	}
	return t, nil
}

type resolver struct {
	ctx   context.Context
	known map[string]TargetConfig
	opts  ResolveOptions
}

// resolve finds one target. Its own jumps are looked up only if follow is
// set: in a list of jumps only the first one's are, as with ssh.
func (r *resolver) resolve(name string, follow bool, path []string) (Target, error) {
	if len(path) > maxJumps || slices.Contains(path, name) {
		return Target{}, fault.New(fault.ConfigInvalid, "mend ProxyJump in ~/.ssh/config or jump in ssg-bootstrap.yaml",
			"the jumps go in a circle: %s", strings.Join(append(path, name), " → "))
	}
	path = append(slices.Clone(path), name)
	cfg, isKnown := r.known[name]
	word := name
	if isKnown && cfg.Address != "" {
		word = cfg.Address
	}
	user, address, port, err := splitAddress(word)
	if err != nil {
		return Target{}, unknown(name, err)
	}
	if cfg.User != "" {
		user = cfg.User
	}
	if cfg.Port != 0 {
		port = cfg.Port
	}
	s, err := r.settings(address, user, port)
	if err != nil {
		return Target{}, err
	}
	if !isKnown && user == "" && port == 0 && !r.exists(address, s) {
		return Target{}, unknown(name, nil)
	}
	t, err := r.target(name, address, s)
	if err != nil {
		return Target{}, err
	}
	r.override(&t, cfg, user, port)
	jumps := cfg.Jump
	if len(jumps) == 0 {
		jumps = s.jumps()
	}
	if !follow || len(jumps) == 0 {
		return t, nil
	}
	if t.Jumps, err = r.jumps(jumps, path); err != nil {
		return Target{}, err
	}
	return t, nil
}

func (r *resolver) jumps(names, path []string) ([]Target, error) {
	var out []Target
	for i, name := range names {
		j, err := r.resolve(name, i == 0, path)
		if err != nil {
			return nil, fmt.Errorf("resolve jump %s: %w", name, err)
		}
		out = append(out, j.Jumps...)
		j.Jumps = nil
		out = append(out, j)
	}
	return out, nil
}

func (r *resolver) override(t *Target, cfg TargetConfig, user string, port int) {
	if user != "" {
		t.User = user
	}
	if port != 0 {
		t.Port = port
	}
	if len(cfg.IdentityFiles) > 0 {
		t.IdentityFiles = nil
		for _, f := range cfg.IdentityFiles {
			t.IdentityFiles = append(t.IdentityFiles, r.expand(f, *t))
		}
		t.IdentitiesOnly = true
	}
	if cfg.KnownHostsFile != "" {
		t.KnownHostsFiles = []string{r.expand(cfg.KnownHostsFile, *t)}
	}
	if cfg.HostKey != "" {
		t.HostKeys = []string{cfg.HostKey}
	}
}

// target makes a Target of ssh's settings.
func (r *resolver) target(name, address string, s settings) (Target, error) {
	if p := s.first("proxycommand"); p != "" && p != "none" {
		return Target{}, fault.New(fault.ConfigInvalid, "use ProxyJump in ~/.ssh/config, or jump in ssg-bootstrap.yaml",
			"%s is reached by a ProxyCommand, which ssg-bootstrap does not run", name)
	}
	port, err := strconv.Atoi(s.firstOr("port", "22"))
	if err != nil || port < 1 || port > 65535 {
		return Target{}, fault.New(fault.ConfigInvalid, "mend Port in ~/.ssh/config", "%s has the port %q", name, s.first("port"))
	}
	t := Target{
		Name: name, User: s.firstOr("user", r.opts.User), Addr: s.firstOr("hostname", address), Port: port,
		HostKeyAlias:   s.first("hostkeyalias"),
		IdentitiesOnly: s.first("identitiesonly") == "yes",
		HashKnownHosts: s.first("hashknownhosts") == "yes",
	}
	for _, f := range s["identityfile"] {
		if f != "none" {
			t.IdentityFiles = append(t.IdentityFiles, r.expand(f, t))
		}
	}
	for _, key := range []string{"userknownhostsfile", "globalknownhostsfile"} {
		for f := range strings.FieldsSeq(strings.Join(s[key], " ")) {
			if f != "none" {
				t.KnownHostsFiles = append(t.KnownHostsFiles, r.expand(f, t))
			}
		}
	}
	return t, nil
}

// expand replaces what ssh leaves in the names of files.
func (r *resolver) expand(path string, t Target) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(r.opts.Home, rest)
	}
	return strings.NewReplacer("%%", "%", "%d", r.opts.Home, "%h", t.Addr, "%p", strconv.Itoa(t.Port), "%r", t.User, "%u", r.opts.User).Replace(path)
}

// exists tells whether a bare word means a host at all: it has an entry in
// ssh's configuration, or it is an address, or the network knows it.
func (r *resolver) exists(word string, s settings) bool {
	if net.ParseIP(word) != nil || s.firstOr("hostname", word) != word || len(s.jumps()) > 0 || r.aliased(word) {
		return true
	}
	found, err := net.DefaultResolver.LookupHost(r.ctx, word)
	return err == nil && len(found) > 0
}

func unknown(name string, why error) error {
	if why == nil {
		why = errors.New("no host of that name in ssg-bootstrap.yaml, in ~/.ssh/config or in the network")
	}
	return &fault.Error{Code: fault.HostUnknown, Op: fmt.Sprintf("find the host %q", name), Err: why,
		Next: "add it below `hosts:` in ssg-bootstrap.yaml, with its address; without such a file, `ssg-bootstrap init` writes one"}
}

// splitAddress takes [user@]address[:port] apart; an IPv6 address with a port
// is in brackets.
func splitAddress(word string) (user, address string, port int, err error) {
	address = word
	if i := strings.LastIndexByte(word, '@'); i >= 0 {
		user, address = word[:i], word[i+1:]
		if user == "" {
			return "", "", 0, errors.New("there is no user before the @")
		}
	}
	bracketed := strings.HasPrefix(address, "[")
	if bracketed || strings.Count(address, ":") == 1 {
		if bracketed && strings.HasSuffix(address, "]") {
			address += ":0"
		}
		var text string
		if address, text, err = net.SplitHostPort(address); err != nil {
			return "", "", 0, err
		}
		if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 || (port == 0 && !bracketed) {
			return "", "", 0, fmt.Errorf("%q is not a port", text)
		}
	}
	if address == "" || strings.HasPrefix(address, "-") || strings.ContainsAny(address, " \t\n/") {
		return "", "", 0, errors.New("that is not an address")
	}
	return user, address, port, nil
}
