package reference

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cli"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
)

const folder = "../../../docs/reference"

func TestTheReferenceIsWhatTheProgramIsDocumentedBy(t *testing.T) {
	pages, err := Pages()
	if err != nil {
		t.Fatal(err)
	}
	for file, page := range pages {
		goldentest.Equal(t, filepath.Join(folder, file), string(page))
	}
	if t.Failed() {
		t.Log("`make generate` brings the reference up to date")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok {
			t.Errorf("%s/%s is not made by anything", folder, e.Name())
		}
	}
}

func TestEveryCommandHasItsSection(t *testing.T) {
	page, err := commandsPage()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := walk(cli.Commands(), func(cmd *cobra.Command) error {
		n++
		if !strings.Contains(string(page), "\n## "+cmd.CommandPath()+"\n") {
			t.Errorf("%s has no section", cmd.CommandPath())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n < 12 {
		t.Errorf("only %d commands were found", n)
	}
}

// TestKeysOfEveryShapeAreListed reads a schema that has what the real ones
// have: references, maps of sections, lists, limits, and a section that a host
// overrides.
func TestKeysOfEveryShapeAreListed(t *testing.T) {
	const schema = `{"$ref":"#/$defs/C","$defs":{
"C":{"type":"object","properties":{
 "hosts":{"type":"object","additionalProperties":{"$ref":"#/$defs/H"}},
 "app":{"$ref":"#/$defs/A","description":"The app."},
 "list":{"type":"array","items":{"$ref":"#/$defs/A"}}}},
"H":{"type":"object","required":["port"],"properties":{
 "port":{"type":"integer","minimum":1,"maximum":9},
 "app":{"$ref":"#/$defs/A","description":"On this host."}}},
"A":{"type":"object","properties":{"mode":{"type":"string","enum":["a","b"]},"name":{"type":"string","pattern":"^(a|b)$"}},"additionalProperties":false}}}`
	page, err := keysPage{title: "T"}.render([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "|---|---|---|\n")
	want := "| `hosts` | map |  |\n" +
		"| `hosts.NAME.port` | integer, 1 to 9 | Required. |\n" +
		"| `hosts.NAME.app` | section | On this host. The keys of `app`, which it overrides one by one. |\n" +
		"| `app` | section | The app. |\n" +
		"| `app.mode` | one of `a`, `b` |  |\n" +
		"| `app.name` | text, matches `^(a\\|b)$` |  |\n" +
		"| `list` | list of section |  |\n" +
		"| `list[].mode` | one of `a`, `b` |  |\n" +
		"| `list[].name` | text, matches `^(a\\|b)$` |  |\n"
	if table != want {
		t.Errorf("got\n%s\nwant\n%s", table, want)
	}
}

func TestManPagesAndCompletionsAreTheSameEachTime(t *testing.T) {
	first, err := Manual(1_700_000_000)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Manual(1_700_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(first, again, slices.Equal) {
		t.Error("two man pages of the same moment differ")
	}
	if page := string(first["ssg-bootstrap-install.1"]); !strings.Contains(page, ".SH SYNOPSIS") || !strings.Contains(page, "Nov 2023") {
		t.Errorf("the page of install is\n%s", page)
	}
	scripts, err := Completions()
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if len(scripts[shell]) < 1000 {
			t.Errorf("%s's script has %d bytes", shell, len(scripts[shell]))
		}
	}
}
