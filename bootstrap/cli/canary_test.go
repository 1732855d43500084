package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s/k3stest"
)

// TestNoOutputAndNoCommandLineHoldsASecret runs every command that reaches the
// box, in every mode and as talkative as it gets, with a canary for the sudo
// password and one in k3s's kubeconfig.
func TestNoOutputAndNoCommandLineHoldsASecret(t *testing.T) {
	const canary = "canary-8d2f"
	box := hosttest.New(t, hosttest.Config{SudoPassword: canary})
	k3stest.Debian(box)
	box.WriteFile("/etc/rancher/k3s/k3s.yaml", strings.ReplaceAll(adminConfigText, "KEY", "Y2FuYXJ5LThkMmY="), 0o600)
	config := writeConfig(t, box)
	for _, args := range [][]string{
		{"doctor"}, {"plan", "--diff", "--only", "zram,sysctls,firewall,clock"}, {"install", "--only", "zram"},
		{"install", "--only", "zram"}, {"status"}, {"kubeconfig", "--kubeconfig", config + ".kube"},
		{"deploy"}, {"rotate", "jwt"}, {"uninstall", "--confirm", "oldpc"}, {"tunnel"},
	} {
		for _, mode := range []string{"plain", "json"} {
			w, _ := newWorld(t)
			w.vars["SSG_SUDO_PASSWORD"] = canary
			Main(context.Background(), append(args, "--config", config, "--host", "oldpc", "-vv", "-o", mode), w.env)
			for name, text := range map[string]string{"stdout": w.out.String(), "stderr": w.err.String()} {
				if strings.Contains(text, canary) || strings.Contains(text, "Y2FuYXJ5LThkMmY=") {
					t.Errorf("%v -o %s: %s holds the secret:\n%s", args, mode, name, text)
				}
			}
			if w.err.Len() == 0 {
				t.Errorf("%v -o %s said nothing: is it looked at?", args, mode)
			}
		}
	}
	for _, line := range box.Wire() {
		if strings.Contains(line, canary) {
			t.Errorf("the secret is in a command line: %s", line)
		}
	}
	for _, e := range box.Log() {
		if strings.Contains(e.String(), canary) {
			t.Errorf("the secret is in argv: %s", e)
		}
	}
}
