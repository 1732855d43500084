package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAliasesAreNamesAndNoPatterns(t *testing.T) {
	home := t.TempDir()
	for path, text := range map[string]string{
		".ssh/config":       "Include extra/*.conf ~/more\nInclude config\n\nHost oldpc shed !gateway *.lan\n\tHostName 192.168.1.20\nhost=newpc\nMatch host x\n# Host none\n",
		".ssh/extra/a.conf": "Host attic\n",
		"more":              "HOST oldpc cellar?\nInclude /nonexistent\n",
	} {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := Aliases(home), []string{"attic", "newpc", "oldpc", "shed"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Aliases(filepath.Join(home, "nobody")); len(got) != 0 {
		t.Errorf("without a configuration: %v", got)
	}
}
