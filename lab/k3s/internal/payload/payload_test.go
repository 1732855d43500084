package payload

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func packed(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	launcher := write("launcher", "ELF and so on", 0o755)
	var out bytes.Buffer
	err := Pack(&out, launcher, []Entry{
		{Name: "bin/k3s-server", Source: write("s", "server", 0o755)},
		{Name: "bin/aux/iptables", Source: write("i", "iptables", 0o755)},
		{Name: "bin/aux/ip6tables", Link: "iptables"},
		{Name: "share/notes", Source: write("n", "notes", 0o600)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func stage(t *testing.T, content []byte, dataDir string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "k3s")
	if err := os.WriteFile(file, content, 0o755); err != nil {
		t.Fatal(err)
	}
	a, err := Open(file)
	if err != nil {
		return "", err
	}
	defer a.Close()
	return Stage(dataDir, a)
}

func TestStageUnpacksOnceAndPointsCurrent(t *testing.T) {
	dataDir := t.TempDir()
	dir, err := stage(t, packed(t), dataDir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dataDir, "data/current/bin/aux/ip6tables"))
	if err != nil || string(got) != "iptables" {
		t.Fatalf("through current and the link: %q, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(dir, "bin/k3s-server"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Fatalf("server: %v, %v", info, err)
	}
	marker := filepath.Join(dir, "untouched")
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := stage(t, packed(t), dataDir); err != nil || again != dir {
		t.Fatalf("second time: %s, %v", again, err)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Fatal("second start unpacked again:", err)
	}
}

func TestStagedFindsWhatAnotherHasUnpacked(t *testing.T) {
	content, dataDir := packed(t), t.TempDir()
	file := filepath.Join(t.TempDir(), "k3s")
	if err := os.WriteFile(file, content, 0o755); err != nil {
		t.Fatal(err)
	}
	a, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if dir, there := Staged(dataDir, a); there {
		t.Errorf("found %s before anything was unpacked", dir)
	}
	want, err := stage(t, content, dataDir)
	if err != nil {
		t.Fatal(err)
	}
	if dir, there := Staged(dataDir, a); !there || dir != want {
		t.Errorf("found %q, %t, want %s", dir, there, want)
	}
}

func TestPackIsDeterministic(t *testing.T) {
	if !bytes.Equal(packed(t), packed(t)) {
		t.Fatal("two packs of the same files differ")
	}
}

func TestStageRefusesWhatIsNotWhole(t *testing.T) {
	whole := packed(t)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-trailerSize-20] ^= 0x40
	cases := []struct {
		name    string
		content []byte
		want    error
	}{
		{"cut inside the trailer", whole[:len(whole)-5], ErrIncomplete},
		{"cut inside the archive", whole[:len(whole)/2], ErrIncomplete},
		{"shorter than a trailer", whole[:10], ErrIncomplete},
		{"a flipped bit", flipped, ErrCorrupt},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dataDir := t.TempDir()
			if _, err := stage(t, c.content, dataDir); !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			left, err := filepath.Glob(filepath.Join(dataDir, "data", "[^.]*"))
			if err != nil || len(left) != 0 {
				t.Fatalf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestStageClearsWhatADeadRunLeft(t *testing.T) {
	dataDir := t.TempDir()
	dead := filepath.Join(dataDir, "data", "0123-tmp")
	if err := os.MkdirAll(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := stage(t, packed(t), dataDir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("half-unpacked folder survived")
	}
}
