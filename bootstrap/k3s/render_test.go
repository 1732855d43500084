package k3s

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

func specFor(t *testing.T, profile string) spec.Spec {
	t.Helper()
	p, err := profiles.Load(profile)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Spec{HostName: "oldpc", NodeName: "oldpc", Profile: p, TLSSANs: []string{"oldpc.lan", "192.168.1.20", "oldpc.lan"}}
}

// TestRenderedFiles compares every file of every profile with testdata.
func TestRenderedFiles(t *testing.T) {
	for _, profile := range profiles.List() {
		t.Run(profile.Name, func(t *testing.T) {
			files, err := serverKind.configFiles(newLoaded(specFor(t, profile.Name)))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range append(files, serverKind.unitFiles()...) {
				name := strings.ReplaceAll(strings.TrimPrefix(f.Path, "/"), "/", "_")
				goldentest.Equal(t, filepath.Join("testdata", profile.Name, name), string(f.Content))
				if !strings.Contains(string(f.Content), managed.Marker) {
					t.Errorf("%s does not say whose it is", f.Path)
				}
			}
		})
	}
}

func TestConfigReadsBackAsItWasMeant(t *testing.T) {
	l := newLoaded(specFor(t, "core2duo-4gb"))
	l.Config["tls-san"] = []string{"yes", "1e3", "0x10", "a: b", "#c", "'q'", "null"}
	text, err := yamlText(l.Config)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := yaml.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"yes", "1e3", "0x10", "a: b", "#c", "'q'", "null"} {
		if got := back["tls-san"].([]any)[i]; got != want {
			t.Errorf("%q is read back as %#v", want, got)
		}
	}
	if back["write-kubeconfig-mode"] != "0600" {
		t.Errorf("the mode is read back as %#v, which is another number", back["write-kubeconfig-mode"])
	}
}

func TestDigestFollowsMeaningOnly(t *testing.T) {
	digest := func(change func(*loaded)) string {
		l := newLoaded(specFor(t, "core2duo-4gb"))
		change(&l)
		d, err := l.digest("cafe")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	same := digest(func(*loaded) {})
	for name, change := range map[string]func(*loaded){
		"nothing":        func(*loaded) {},
		"unit's comment": func(l *loaded) { l.Unit = directives("# another comment\n\n" + unitText) },
	} {
		if digest(change) != same {
			t.Errorf("%s changes the digest", name)
		}
	}
	for name, change := range map[string]func(*loaded){
		"a flag":       func(l *loaded) { l.Config["disable"] = []string{"runtimes"} },
		"kubelet":      func(l *loaded) { l.Kubelet["maxPods"] = 1 },
		"containerd":   func(l *loaded) { l.Containerd = nil },
		"environment":  func(l *loaded) { l.Env["GOGC"] = "1" },
		"unit setting": func(l *loaded) { l.Unit = append(l.Unit, "OOMScoreAdjust=-900") },
	} {
		if digest(change) == same {
			t.Errorf("%s does not change the digest", name)
		}
	}
}

func TestRedact(t *testing.T) {
	in := "token: canary1\nagent-token: 'canary2'\n  \"datastore-endpoint\": mysql://canary3\nvpn-auth: name=x,joinKey=canary4\n" +
		"K3S_TOKEN=canary5\netcd-s3-secret-key: canary6\nnode-name: keep\ntoken-file: /canary7\n"
	out := string(redact([]byte(in)))
	if strings.Contains(out, "canary") {
		t.Errorf("a secret is left:\n%s", out)
	}
	if !strings.Contains(out, "node-name: keep") || !strings.Contains(out, "token: [secret]") {
		t.Errorf("too much is gone:\n%s", out)
	}
}

func TestDowngrade(t *testing.T) {
	for _, c := range []struct {
		installed, wanted string
		refused           bool
	}{
		{"k3s version v1.36.4+k3s1 (abc)", "v1.36.4+k3s1", false},
		{"k3s version v1.36.4+k3s1 (abc)", "v1.36.1+k3s1", false},
		{"k3s version v1.36.4+k3s1 (abc)", "v1.37.0+k3s1", false},
		{"k3s version v1.36.4+k3s1 (abc)", "v1.35.9+k3s1", true},
		{"k3s version v1.10.4+k3s1 (abc)", "v1.9.9+k3s1", true},
		{"", "v1.35.9+k3s1", false},
		{"Exec format error", "v1.35.9+k3s1", false},
	} {
		if err := checkDowngrade(c.installed, c.wanted); (err != nil) != c.refused {
			t.Errorf("%q → %q: %v", c.installed, c.wanted, err)
		}
	}
}
