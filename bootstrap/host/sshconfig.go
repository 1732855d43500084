package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// settings are what ssh's configuration says of a host, by lower-case keyword.
type settings map[string][]string

func (s settings) first(key string) string { return s.firstOr(key, "") }

func (s settings) firstOr(key, otherwise string) string {
	if v := s[key]; len(v) > 0 && v[0] != "" {
		return v[0]
	}
	return otherwise
}

func (s settings) jumps() []string {
	j := s.first("proxyjump")
	if j == "" || j == "none" {
		return nil
	}
	return strings.Split(strings.ReplaceAll(j, " ", ""), ",")
}

// settings asks the ssh program if there is one: only OpenSSH itself gets
// Match, exec and the order of its files right in every case.
func (r *resolver) settings(address, user string, port int) (settings, error) {
	if !r.opts.NoSSH {
		if program, err := exec.LookPath("ssh"); err == nil {
			return r.askSSH(program, address, user, port)
		}
	}
	return r.readConfig(address)
}

func (r *resolver) askSSH(program, address, user string, port int) (settings, error) {
	args := []string{"-G"}
	if r.opts.ConfigFile != "" {
		args = append(args, "-F", r.opts.ConfigFile)
	}
	if user != "" {
		args = append(args, "-l", user)
	}
	if port != 0 {
		args = append(args, "-p", strconv.Itoa(port))
	}
	cmd := exec.CommandContext(r.ctx, program, append(args, "--", address)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctxErr := context.Cause(r.ctx); ctxErr != nil {
			return nil, ctxErr
		}
		return nil, &fault.Error{
			Code: fault.ConfigInvalid, Op: "read the SSH configuration of " + address, Err: err,
			Evidence: strings.TrimSpace(errs.String()), Next: "mend ~/.ssh/config; `ssh -G " + address + "` shows what ssh makes of it",
		}
	}
	return parseSettings(out.String()), nil
}

// parseSettings reads the output of ssh -G: a keyword and its value per line.
func parseSettings(text string) settings {
	s := make(settings)
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && key != "" {
			key = strings.ToLower(key)
			s[key] = append(s[key], strings.TrimSpace(value))
		}
	}
	return s
}

// readConfig reads the configuration without ssh.
func (r *resolver) readConfig(address string) (settings, error) {
	config := &ssh_config.UserSettings{}
	config.ConfigFinder(func() string { return r.configFile() })
	s := make(settings)
	for _, key := range []string{
		"User", "HostName", "Port", "IdentityFile", "IdentitiesOnly", "UserKnownHostsFile", "GlobalKnownHostsFile", "HostKeyAlias",
		"ProxyJump", "ProxyCommand", "HashKnownHosts",
	} {
		values, err := config.GetAllStrict(address, key)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, &fault.Error{
				Code: fault.ConfigInvalid, Op: "read the SSH configuration of " + address, Err: err, Next: "mend ~/.ssh/config",
			}
		}
		s[strings.ToLower(key)] = values
	}
	s["hostname"] = []string{strings.ReplaceAll(s.firstOr("hostname", address), "%h", address)}
	r.defaults(s)
	return s, nil
}

// defaults fills in ssh's own where the library's are those of older days.
func (r *resolver) defaults(s settings) {
	if len(s["identityfile"]) == 0 || s["identityfile"][0] == "~/.ssh/identity" {
		s["identityfile"] = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	if s.first("userknownhostsfile") == "" {
		s["userknownhostsfile"] = []string{"~/.ssh/known_hosts ~/.ssh/known_hosts2"}
	}
	if s.first("globalknownhostsfile") == "" {
		s["globalknownhostsfile"] = []string{"/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"}
	}
}

func (r *resolver) configFile() string {
	if r.opts.ConfigFile != "" {
		return r.opts.ConfigFile
	}
	return filepath.Join(r.opts.Home, ".ssh", "config")
}

// aliased tells whether the user's file has a Host entry that names the word,
// not only by a pattern that fits every name.
func (r *resolver) aliased(word string) bool {
	data, err := os.ReadFile(r.configFile())
	if err != nil {
		return false
	}
	config, err := ssh_config.DecodeBytes(data)
	if err != nil {
		return strings.Contains(string(data), fmt.Sprintf(" %s", word))
	}
	for _, h := range config.Hosts {
		for _, p := range h.Patterns {
			if p.String() != "*" && h.Matches(word) {
				return true
			}
		}
	}
	return false
}
