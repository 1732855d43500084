package recovery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
)

func TestWhatACrashLeftIsNamedWithItsRemedy(t *testing.T) {
	l := newOldBox(t)
	l.quiet(t)
	root := filepath.Join(l.dir, "root")
	writeFile(t, filepath.Join(root, "etc/rancher/k3s/config.yaml"), "", 0o600)
	writeFile(t, filepath.Join(root, markPath), `{"id":"000007","state":true}`, 0o600)
	if err := os.MkdirAll(filepath.Join(root, "var/lib/rancher/k3s/storage/pvc-1_x_y/.quarantine"), 0o700); err != nil {
		t.Fatal(err)
	}
	found, err := l.box().AfterCrash(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range found {
		if f.Grade != facts.OK && f.Remedy == "" {
			t.Errorf("%+v has no remedy", f)
		}
		text.WriteString(f.Text + "\n")
	}
	for _, want := range []string{"config.yaml has no content", "backup 000007 is half restored", ".quarantine holds a database"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

// TestAnEmptyUnitOfOursIsFound: systemd lists it as masked, and nothing as failed.
func TestAnEmptyUnitOfOursIsFound(t *testing.T) {
	l := newLocal(t)
	l.quiet(t)
	units := filepath.Join(l.dir, "root/etc/systemd/system")
	ours := []string{
		"k3s.service", "k3s-agent.service", "ssg-bootstrap-firewall.service", "actions.runner.me-school.oldpc.service",
		"k3s.service.d/ssg-bootstrap-restore.conf", "tailscaled.service.d/10-ssg-bootstrap.conf",
	}
	look := func() (text string) {
		t.Helper()
		found, err := l.box().AfterCrash(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Check == "empty unit" {
				text += strings.TrimPrefix(f.Text, units+"/") + "; " + f.Remedy + "\n"
			}
		}
		return text
	}
	for _, name := range ours {
		writeFile(t, filepath.Join(units, name), "", 0o644)
		want := name + " has no content: systemd does not start what it is for; `ssg-bootstrap install --host HOST` brings it again\n"
		if got := look(); got != want {
			t.Errorf("%s: found %q", name, got)
		}
		writeFile(t, filepath.Join(units, name), "[Unit]\n", 0o644)
	}
	// What its owner masked or left empty is the owner's affair.
	for _, name := range []string{"theirs.service", "k3s.service.d/theirs.conf"} {
		writeFile(t, filepath.Join(units, name), "", 0o644)
	}
	if err := os.Symlink("/dev/null", filepath.Join(units, "ssg-bootstrap-zram.service")); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "" {
		t.Errorf("found %q", got)
	}
}

func TestTheDatastoreIsJudgedByItsSizeAndItsFreePages(t *testing.T) {
	for line, want := range map[string]facts.Grade{
		"kine 8000000 4000000 2000 10":     facts.OK,
		"kine 4000000000 0 1000000 900000": facts.Warn,
		"kine 400000000 0 100000 10":       facts.Warn,
		"kine 8000000 400000000 2000 10":   facts.Warn,
	} {
		if found := crashFindings(line + "\n"); len(found) != 1 || found[0].Grade != want {
			t.Errorf("%s: %+v", line, found)
		}
	}
	if found := crashFindings("fs 0 x\ncompact 0\nkine a b c d\n\nnoise\n"); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}
