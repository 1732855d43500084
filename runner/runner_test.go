package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

func (m *machine) must(t *testing.T) step.Result {
	t.Helper()
	r, err := m.converge()
	if err != nil {
		t.Fatalf("%v\n%s", err, fault.EvidenceOf(err))
	}
	return r
}

func TestAFreshBoxBecomesARunnerAndASecondRunWritesNothing(t *testing.T) {
	m := newMachine(t)
	m.must(t)
	one := m.hub.runners["oldpc"]
	if one == nil || !one.Online || !slices.Equal(one.Labels, []string{"homelab", "oldpc"}) {
		t.Fatalf("GitHub sees %+v", one)
	}
	if u := m.Systemd.Unit(serviceUnit); u.Active != "active" || !u.Enabled {
		t.Errorf("the unit is %+v", u)
	}
	drop := m.ReadFile("/etc/systemd/system/" + serviceUnit + ".d/10-ssg-bootstrap.conf")
	for _, line := range []string{"Restart=always", "Wants=network-online.target", "MemoryHigh=402653184", "MemoryMax=671088640", "MemoryDenyWriteExecute=no", "InaccessiblePaths=-/etc/rancher "} {
		if !strings.Contains(drop, line) {
			t.Errorf("the drop-in lacks %s", line)
		}
	}
	if got := m.ReadFile(rootDir + "/.path"); !strings.HasPrefix(got, binDir+":") || !strings.Contains(got, "/usr/local/bin") {
		t.Errorf(".path is %q", got)
	}
	kubeconfig := m.ReadFile(kubeconfigPath)
	if !strings.Contains(kubeconfig, "token: "+m.token) || !strings.Contains(kubeconfig, encoded("authority one\n")) || m.owners[kubeconfigPath] != userName+":"+userName {
		t.Errorf("kubeconfig of %s:\n%s", m.owners[kubeconfigPath], kubeconfig)
	}
	if m.ReadFile(helmPath) != "#!/bin/sh\necho helm\n" {
		t.Errorf("helm is %q", m.ReadFile(helmPath))
	}
	m.hub.requests()
	before := m.Files()
	r := m.must(t)
	if len(r.Changed) > 0 {
		t.Errorf("the second run changed %v", r.Changed)
	}
	if asked := m.hub.requests(); len(asked) != 1 || !strings.HasPrefix(asked[0], "GET ") {
		t.Errorf("the second run asked %q", asked)
	}
	if !slices.Equal(before, m.Files()) {
		t.Error("the second run changed files")
	}
}
