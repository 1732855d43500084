// Package addons keeps the promise of server/manifests: what lies there is
// applied to the cluster, by itself, at every start and whenever it changes; the
// packaged components are written there first and can be switched off.
package addons

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed manifests/*.yaml
var packaged embed.FS

// Values fill the packaged manifests.
type Values struct {
	NodeName         string
	NodeIP           string
	ClusterDNS       string
	ClusterDomain    string
	LocalStoragePath string
}

type kind struct{ Kind, Singular, Plural string }

func kinds(names ...string) []kind {
	var out []kind
	for _, n := range names {
		singular := strings.ToLower(n)
		out = append(out, kind{Kind: n, Singular: singular, Plural: singular + "s"})
	}
	return out
}

func (v Values) data() map[string]any {
	traefik := kinds("IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "Middleware", "MiddlewareTCP",
		"ServersTransport", "ServersTransportTCP", "TLSOption", "TLSStore", "TraefikService")
	var plurals []string
	for _, k := range traefik {
		plurals = append(plurals, k.Plural)
	}
	return map[string]any{
		"NodeName": v.NodeName, "NodeIP": v.NodeIP, "ClusterDNS": v.ClusterDNS, "ClusterDomain": v.ClusterDomain,
		"LocalStoragePath": v.LocalStoragePath,
		"TraefikKinds":     traefik,
		"TraefikPlurals":   "[" + strings.Join(plurals, ", ") + "]",
		"HelmKinds":        kinds("HelmChart", "HelmChartConfig"),
		"Runtimes":         []string{"crun", "nvidia", "nvidia-cdi", "nvidia-experimental", "slight", "spin", "wasmedge", "wasmer", "wasmtime", "wws"},
	}
}

// Stage writes the packaged manifests into dir, each start anew, so that an
// upgrade brings its own; edits belong into files of another name. A file beside
// it named <name>.skip keeps one away. Manifests of components that are switched
// off are removed, and returned so that their objects can follow.
func Stage(dir string, v Values, off func(component string) bool) (removed []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make manifest folder: %w", err)
	}
	entries, err := packaged.ReadDir("manifests")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		target := filepath.Join(dir, e.Name())
		if off(strings.TrimSuffix(e.Name(), ".yaml")) {
			removed = append(removed, e.Name())
			if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
				return removed, err
			}
			continue
		}
		if skipped(target) {
			continue
		}
		content, err := Render(e.Name(), v)
		if err != nil {
			return removed, fmt.Errorf("render %s: %w", e.Name(), err)
		}
		if err := write(target, content); err != nil {
			return removed, fmt.Errorf("write manifest: %w", err)
		}
	}
	return removed, nil
}

// Render fills one packaged manifest.
func Render(name string, v Values) ([]byte, error) {
	text, err := packaged.ReadFile("manifests/" + name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Delims("[[", "]]").Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, v.data())
	return out.Bytes(), err
}

func skipped(path string) bool {
	_, err := os.Stat(path + ".skip")
	return err == nil
}

func write(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
