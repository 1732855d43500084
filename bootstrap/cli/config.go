package cli

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
)

const configName = "ssg-bootstrap.yaml"

// loadConfig reads the configuration that applies; having none is fine.
func (a *app) loadConfig() (spec.Config, error) {
	if a.config != "" {
		cfg, err := spec.LoadConfig(a.config)
		if errors.Is(err, fs.ErrNotExist) {
			return cfg, &fault.Error{Code: fault.ConfigInvalid, Err: err, Next: "check --config, or make one with `ssg-bootstrap init`"}
		}
		return cfg, err
	}
	for _, path := range []string{configName, filepath.Join(a.configDir(), configName)} {
		cfg, err := spec.LoadConfig(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return cfg, err
		}
	}
	return spec.Config{}, nil
}

// lockPath is next to the configuration, because both are kept under version
// control together.
func (a *app) lockPath(cfg spec.Config) string {
	if cfg.Path != "" {
		return filepath.Join(filepath.Dir(cfg.Path), "ssg-bootstrap.lock")
	}
	return filepath.Join(a.configDir(), "ssg-bootstrap.lock")
}

// chooseHost is the flag's host, else the default one, else the only one.
func chooseHost(cfg spec.Config, flag string) (string, error) {
	names := slices.Sorted(maps.Keys(cfg.Hosts))
	switch {
	case flag != "":
		return flag, nil
	case cfg.Defaults.Host != "":
		return cfg.Defaults.Host, nil
	case len(names) == 1:
		return names[0], nil
	case len(names) > 1:
		return "", fault.New(fault.Usage, "add --host with one of them", "which box? The configuration has %s", strings.Join(names, ", "))
	}
	return "", fault.New(fault.Usage, "add --host user@address, or write a configuration with `ssg-bootstrap init`", "which box? There is no --host and no configuration")
}

// target resolves a host as ssh would, with what the configuration says first.
func (a *app) target(ctx context.Context, cfg spec.Config, name, hostKey string) (host.Target, error) {
	known := make(map[string]host.TargetConfig, len(cfg.Hosts))
	for n, h := range cfg.Hosts {
		t := host.TargetConfig{
			Address: h.Address, Port: h.Port, User: h.User, IdentityFiles: h.IdentityFiles,
			KnownHostsFile: h.KnownHostsFile, Jump: h.Jump,
		}
		if len(h.HostKeys) > 0 {
			t.HostKey = h.HostKeys[0]
		}
		known[n] = t
	}
	o := host.ResolveOptions{Home: a.env.Home, User: a.login(), HostKeys: cfg.Hosts[name].HostKeys}
	if hostKey != "" {
		o.HostKeys = []string{hostKey}
	}
	t, err := host.ResolveTarget(ctx, name, known, o)
	if err != nil {
		return t, err
	}
	// The login here is ssh's last resort; the configuration's default comes
	// before that.
	said := cfg.Hosts[name].User != "" || strings.Contains(name, "@")
	if !said && t.User == o.User && cfg.Defaults.User != "" {
		t.User = cfg.Defaults.User
	}
	return t, nil
}

// login is the user's name on this computer.
func (a *app) login() string {
	if name := a.env.Getenv("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "root"
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "an unnamed computer"
	}
	return name
}
