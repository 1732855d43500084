package spec

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec/strict"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// LoadConfig reads ssg-bootstrap.yaml and resolves the paths in it: ~/ is the
// user's home, relative paths start from the file's folder. A missing file is
// an error that is fs.ErrNotExist.
func LoadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	c, err := ParseConfig(path, data)
	if err != nil {
		return Config{}, err
	}
	if c.Path, err = filepath.Abs(path); err != nil {
		return Config{}, fmt.Errorf("find configuration: %w", err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // ~/ then stays as it is and the file that needs it is named
	}
	return c.located(filepath.Dir(c.Path), home), nil
}

// ParseConfig reads a configuration and finds every mistake in it; path is
// what they are reported under.
func ParseConfig(path string, data []byte) (Config, error) {
	var c Config
	doc := strict.Decode(path, data, &c)
	check(c, doc)
	if err := strict.Error(path, doc.Mistakes()); err != nil {
		return Config{}, err
	}
	return c, nil
}

// located returns the configuration with all paths absolute.
func (c Config) located(folder, home string) Config {
	locate := func(path string) string {
		if rest, found := strings.CutPrefix(path, "~/"); found && home != "" {
			return filepath.Join(home, rest)
		}
		if path == "" || filepath.IsAbs(path) || strings.HasPrefix(path, "~") {
			return path
		}
		return filepath.Join(folder, path)
	}
	profile := func(name string) string {
		if profiles.IsPath(name) {
			return locate(name)
		}
		return name
	}
	c.Hosts = maps.Clone(c.Hosts)
	for name, h := range c.Hosts {
		h.IdentityFiles = slices.Clone(h.IdentityFiles)
		for i, f := range h.IdentityFiles {
			h.IdentityFiles[i] = locate(f)
		}
		h.KnownHostsFile = locate(h.KnownHostsFile)
		h.Profile = profile(h.Profile)
		h.Release = h.Release.located(locate)
		c.Hosts[name] = h
	}
	c.Defaults.Profile = profile(c.Defaults.Profile)
	c.Release = c.Release.located(locate)
	c.Backup = c.Backup.located(locate)
	return c
}
