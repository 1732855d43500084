package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// TestAScheduleIsWhatSystemdTakes writes the units with a systemctl that only
// notes what it is asked, and lets systemd judge them where there is one.
func TestAScheduleIsWhatSystemdTakes(t *testing.T) {
	w, a := newWorld(t)
	tools := t.TempDir()
	log := filepath.Join(tools, "log")
	if err := os.WriteFile(filepath.Join(tools, "systemctl"), []byte("#!/bin/sh\necho \"$*\" >>"+log+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	ours := a.env.Getenv
	a.env.Getenv = func(name string) string {
		if name == "XDG_STATE_HOME" {
			return "/srv/50% of $it"
		}
		return ours(name)
	}
	if err := a.schedule(t.Context(), "me@oldpc:22", "daily"); err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(w.env.Home, ".config/systemd/user/ssg-bootstrap-backup-me_oldpc_22")
	service, err := os.ReadFile(unit + ".service")
	if err != nil || !strings.Contains(string(service), `"backup" "--host" "me@oldpc:22"`) {
		t.Fatalf("%v\n%s", err, service)
	}
	// The shell's variables are not there when systemd starts it.
	if !strings.Contains(string(service), "\nEnvironment=\"XDG_STATE_HOME=/srv/50%% of $it\"\n") {
		t.Errorf("the backups would lie elsewhere:\n%s", service)
	}
	if judge, err := exec.LookPath("systemd-analyze"); err == nil {
		if out, err := exec.Command(judge, "--user", "verify", unit+".timer", unit+".service").CombinedOutput(); err != nil && strings.Contains(string(out), unit) {
			t.Errorf("%v\n%s", err, out)
		}
	}
	said, err := os.ReadFile(log)
	if err != nil || string(said) != "--user daemon-reload\n--user enable --now ssg-bootstrap-backup-me_oldpc_22.timer\n" {
		t.Errorf("%v: %s", err, said)
	}
	if err := a.schedule(t.Context(), "me@oldpc:22", "off"); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(unit)); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	if err := a.schedule(t.Context(), "me@oldpc:22", "off"); fault.CodeOf(err) != fault.Usage {
		t.Errorf("nothing to take back: %v", err)
	}
	if err := a.schedule(t.Context(), "oldpc", "daily\nExecStart=x"); fault.CodeOf(err) != fault.Usage {
		t.Errorf("a line break: %v", err)
	}
}
