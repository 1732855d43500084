package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// configured writes a config.yaml and drop-ins and returns the environment that
// points at them.
func configured(t *testing.T, main string, dropins map[string]string) func(string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	files := map[string]string{path: main}
	for name, text := range dropins {
		files[filepath.Join(path+".d", name)] = text
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(k string) string {
		if k == "K3S_CONFIG_FILE" {
			return path
		}
		return ""
	}
}

func TestParseMerges(t *testing.T) {
	cases := []struct {
		name    string
		main    string
		dropins map[string]string
		args    []string
		check   func(*Server) (got, want any)
	}{
		{"a flag replaces a file's value", "node-name: a\n", nil, []string{"--node-name", "b"},
			func(s *Server) (any, any) { return s.NodeName, "b" }},
		{"the last drop-in wins", "node-name: a\n", map[string]string{"20.yaml": "node-name: c\n", "10.yaml": "node-name: b\n"}, nil,
			func(s *Server) (any, any) { return s.NodeName, "c" }},
		{"a later list replaces", "disable: [traefik, servicelb]\n", map[string]string{"1.yaml": "disable: [coredns]\n"}, nil,
			func(s *Server) (any, any) { return s.Disable, []string{"coredns"} }},
		{"key+ appends", "kubelet-arg: [max-pods=20]\n", map[string]string{"1.yaml": "kubelet-arg+: [v=1]\n"}, nil,
			func(s *Server) (any, any) { return s.KubeletArgs, []string{"max-pods=20", "v=1"} }},
		{"key+ after a single value", "tls-san: one\n", map[string]string{"1.yaml": "tls-san+: two\n"}, nil,
			func(s *Server) (any, any) { return s.TLSSANs, []string{"one", "two"} }},
		{"flags replace whole lists", "tls-san: [a, b]\n", nil, []string{"--tls-san=c", "--tls-san", "d"},
			func(s *Server) (any, any) { return s.TLSSANs, []string{"c", "d"} }},
		{"an alias replaces its long name", "data-dir: /a\n", nil, []string{"-d", "/b"},
			func(s *Server) (any, any) { return s.DataDir, "/b" }},
		{"commas separate components", "disable: traefik,servicelb\n", nil, nil,
			func(s *Server) (any, any) { return s.Disable, []string{"traefik", "servicelb"} }},
		{"commas belong to component flags", "kubelet-arg: [\"eviction-hard=a<1,b<2\"]\n", nil, nil,
			func(s *Server) (any, any) { return s.KubeletArgs, []string{"eviction-hard=a<1,b<2"} }},
		{"numbers and booleans", "https-listen-port: 7443\ndebug: true\n", nil, nil,
			func(s *Server) (any, any) { return []any{s.HTTPSPort, s.Debug}, []any{7443, true} }},
		{"a mode in quotes keeps its zero", "write-kubeconfig-mode: \"0644\"\n", nil, nil,
			func(s *Server) (any, any) { return s.KubeconfigMode, "0644" }},
		{"DNS follows the service network", "service-cidr: 10.99.0.0/16\n", nil, nil,
			func(s *Server) (any, any) { return s.ClusterDNS, "10.99.0.10" }},
		{"an empty file is no configuration", "# nothing\n", nil, nil,
			func(s *Server) (any, any) { return s.HTTPSPort, 6443 }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, warnings, err := Parse(c.args, configured(t, c.main, c.dropins))
			if err != nil || len(warnings) != 0 {
				t.Fatalf("error %v, warnings %v", err, warnings)
			}
			if got, want := c.check(s); !reflect.DeepEqual(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := []struct {
		name, main string
		args       []string
		want       string
	}{
		{"an unknown flag", "", []string{"--foo"}, "flag provided but not defined: -foo"},
		{"a known flag that the stand-in lacks", "", []string{"--etcd-s3=true"}, "does not have --etcd-s3"},
		{"the same from a file", "cluster-init: true\n", nil, "does not have --cluster-init"},
		{"a stray word", "", []string{"start"}, "unexpected argument"},
		{"rootless", "rootless: true\n", nil, "--rootless is not available"},
		{"a wrong choice", "egress-selector-mode: sometimes\n", nil, "invalid egress-selector-mode"},
		{"a wrong network", "service-cidr: here\n", nil, "invalid service-cidr"},
		{"DNS outside the services", "cluster-dns: 10.1.1.1\n", nil, "not in service-cidr"},
		{"a wrong number", "https-listen-port: many\n", nil, "https-listen-port"},
		{"a mode that is not octal", "write-kubeconfig-mode: \"0898\"\n", nil, "write-kubeconfig-mode"},
		{"broken YAML", "node-name: [\n", nil, "read configuration"},
		{"a list where keys belong", "- a\n", nil, "want keys and values"},
		{"a missing token file", "token-file: /nonexistent/token\n", nil, "read token file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Parse(c.args, configured(t, c.main, nil))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestParseWarnsOfUnknownKeys(t *testing.T) {
	s, warnings, err := Parse(nil, configured(t, "kublet-arg: x\nnode-name: a\n", nil))
	if err != nil || s.NodeName != "a" {
		t.Fatalf("%v, %v", s, err)
	}
	want := []string{"Unknown flag --kublet-arg found in config.yaml, skipping"}
	if !reflect.DeepEqual(warnings, want) {
		t.Fatalf("got %q, want %q", warnings, want)
	}
}

func TestMissingConfigFile(t *testing.T) {
	none := func(string) string { return "" }
	if _, _, err := Parse([]string{"--config", "/nonexistent.yaml"}, none); err == nil {
		t.Fatal("a named file that is missing was accepted")
	}
}

func TestDataDir(t *testing.T) {
	cases := []struct {
		name string
		args []string
		main string
		want string
	}{
		{"flag", []string{"--data-dir=/a", "--kubelet-arg=x"}, "data-dir: /b\n", "/a"},
		{"short flag", []string{"-d", "/a"}, "", "/a"},
		{"file", nil, "data-dir: /b\n", "/b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, err := DataDir(c.args, configured(t, c.main, nil)); err != nil || got != c.want {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}
