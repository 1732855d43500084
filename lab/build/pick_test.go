package build

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPickerFollowsLinksAndLeavesOutWhatIsBelow(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, map[string]string{"usr/bin/real": "#!/bin/sh\n", "usr/share/a": "a", "usr/share/b.h": "b", "usr/bin/other": "x"})
	for link, target := range map[string]string{"usr/bin/short": "real", "usr/bin/absolute": "/bin/other"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	below := newPicker(root, nil)
	if err := below.pick("usr/bin/other"); err != nil {
		t.Fatal(err)
	}
	p := newPicker(root, below)
	p.skip = func(name string) bool { return strings.HasSuffix(name, ".h") }
	if err := p.pick("usr/bin/short", "usr/bin/absolute", "usr/share"); err != nil {
		t.Fatal(err)
	}
	if got, want := sortedNames(p.files), []string{"/usr/bin/absolute", "/usr/bin/real", "/usr/bin/short", "/usr/share/a"}; !slices.Equal(got, want) {
		t.Errorf("picked %q, want %q", got, want)
	}
}

func TestPickerNamesWhatIsMissing(t *testing.T) {
	if err := newPicker(t.TempDir(), nil).pick("usr/bin/mariadb"); err == nil || !strings.Contains(err.Error(), "usr/bin/mariadb") {
		t.Errorf("pick = %v", err)
	}
}

func TestPickerTakesAProgramsLibraries(t *testing.T) {
	root, source := t.TempDir(), "/usr/bin/dpkg-deb"
	program, err := elf.Open(source)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("needs a program that is linked with libraries")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	needed, err := program.ImportedLibraries()
	if err != nil || len(needed) == 0 {
		t.Fatalf("%s needs %q, %v", source, needed, err)
	}
	writeTree(t, root, map[string]string{"usr/bin/.keep": ""})
	if err := copyFile(source, filepath.Join(root, "usr/bin/program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := newPicker(root, nil).pick("usr/bin/program"); err == nil || !strings.Contains(err.Error(), needed[0]) {
		t.Errorf("without its libraries: %v, want word of %s", err, needed[0])
	}
	libraries := map[string]string{libraryFolder + loader: ""}
	for _, name := range needed {
		libraries[libraryFolder+name] = ""
	}
	writeTree(t, root, libraries)
	p := newPicker(root, nil)
	if err := p.pick("usr/bin/program"); err != nil {
		t.Fatal(err)
	}
	if want := len(libraries) + 1; len(p.files) != want {
		t.Errorf("picked %q, want the program, its loader and %d libraries", sortedNames(p.files), len(needed))
	}
}

func TestMerged(t *testing.T) {
	for path, want := range map[string]string{"/lib/x": "/usr/lib/x", "bin/sh": "/usr/bin/sh", "/usr/lib/x": "/usr/lib/x", "/etc/x": "/etc/x", "/libexec/x": "/libexec/x"} {
		if got := merged(path); got != want {
			t.Errorf("merged(%q) = %q, want %q", path, got, want)
		}
	}
}
