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
