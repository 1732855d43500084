package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
)

// keepFiles makes a backup of oldpc that holds nothing but these files.
func keepFiles(t *testing.T, a *app, files map[string][]byte) {
	t.Helper()
	v, err := a.vault("oldpc", spec.Backup{}, true)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := v.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	text, err := json.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	sum, _, err := v.Put(text)
	if err != nil {
		t.Fatal(err)
	}
	x := vault.Index{{Sum: sum, Size: int64(len(text))}}
	list, _, err := v.Put(x.Encode())
	if err != nil {
		t.Fatal(err)
	}
	part := vault.Part{Name: recovery.Computer, Index: list, Pieces: 1, Bytes: x.Bytes()}
	if _, err := v.Commit(vault.Manifest{Host: "oldpc", Taken: time.Now(), Parts: []vault.Part{part}}); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherComputerBeginsWithTheFilesOfTheFirst(t *testing.T) {
	_, a := newWorld(t)
	keepFiles(t, a, map[string][]byte{"ssg-bootstrap.yaml": []byte("hosts: {}\n"), "spec.json": []byte("{}")})
	into := filepath.Join(t.TempDir(), "found")
	if err := backupUnpackRun(a, "oldpc", "latest", into); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(into, "ssg-bootstrap.yaml")
	text, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || string(text) != "hosts: {}\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", text, err, statErr)
	}
	// What the owner changed since is not lost by asking again.
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := backupUnpackRun(a, "oldpc", "latest", into); fault.CodeOf(err) != fault.Usage {
		t.Errorf("over files that are there: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("it was overwritten: %q", text)
	}
	keepFiles(t, a, map[string][]byte{"../evil": []byte("x")})
	outside := t.TempDir()
	if err := backupUnpackRun(a, "oldpc", "latest", filepath.Join(outside, "in")); fault.CodeOf(err) != fault.BackupUnreadable {
		t.Errorf("a file beside the folder: %v", err)
	}
	if found, err := os.ReadDir(outside); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}
