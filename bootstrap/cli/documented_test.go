package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandLine is one line that a document tells the reader to type.
type commandLine struct {
	document string
	words    []string
}

// pages are the documents for people; what is generated from the commands
// cannot differ from them.
func pages(t *testing.T) []string {
	t.Helper()
	out := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../docs/decisions/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		out = append(out, files...)
	}
	return out
}

// documented returns every line of code in the documents.
func documented(t *testing.T) []commandLine {
	t.Helper()
	inline := regexp.MustCompile("`([^`]+)`")
	var out []commandLine
	for _, file := range pages(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		take := func(text string) {
			text, _, _ = strings.Cut(text, " #")
			words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(text), "&"))
			// What is set for one command stands before it.
			for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=\S*$`).MatchString(words[0]) {
				words = words[1:]
			}
			if len(words) > 0 {
				words[0] = strings.TrimPrefix(words[0], "bin/")
				out = append(out, commandLine{filepath.ToSlash(strings.TrimPrefix(file, "../../")), words})
			}
		}
		// Inline code may be broken over two lines.
		paragraph := strings.ReplaceAll(string(data), "\n", " ")
		for _, m := range inline.FindAllStringSubmatch(paragraph, -1) {
			take(m[1])
		}
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, "    ") {
				take(line)
			}
		}
	}
	return out
}

// ours are the command lines of this program among them, with the command that
// each means. A text that is cut short by "…" is no command line.
func ours(t *testing.T) map[*cobra.Command][]commandLine {
	t.Helper()
	root := Commands()
	out := map[*cobra.Command][]commandLine{}
	for _, c := range documented(t) {
		if c.words[0] != program || len(c.words) == 1 {
			continue
		}
		found, _, err := root.Find(c.words[1:])
		if err != nil {
			t.Errorf("%s: %s: %v", c.document, strings.Join(c.words, " "), err)
			continue
		}
		out[found] = append(out[found], c)
	}
	if len(out) < 8 {
		t.Fatalf("only %d commands are documented", len(out))
	}
	return out
}

func TestCommandLinesOfTheDocumentsAreValid(t *testing.T) {
	for cmd, lines := range ours(t) {
		for _, c := range lines {
			for _, word := range c.words {
				if word == "--" {
					// What comes now is another program's.
					break
				}
				if isFlag(word) && !hasFlag(cmd, word) {
					t.Errorf("%s: %s: there is no flag %s", c.document, strings.Join(c.words, " "), word)
				}
			}
		}
	}
}

// isFlag also takes -o; a lone hyphen is standard input.
func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

func hasFlag(cmd *cobra.Command, word string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.Root().PersistentFlags()} {
		if strings.HasPrefix(word, "--") && flags.Lookup(name) != nil || !strings.HasPrefix(word, "--") && flags.ShorthandLookup(name[:1]) != nil {
			return true
		}
	}
	return name == "help" || name == "h"
}

func TestAFlagThatIsNotThereIsFound(t *testing.T) {
	install, _, err := Commands().Find([]string{"install"})
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]bool{
		"--join": true, "--join=oldpc": true, "--host": true, "-o": true, "-vv": true, "--help": true, "--jion": false, "--j": false, "-x": false, "--o": false,
	} {
		if got := isFlag(word) && hasFlag(install, word); got != want {
			t.Errorf("install %s: %v, want %v", word, got, want)
		}
	}
}

// TestEveryDocumentedCommandIsRunByATest looks for each command that a document
// tells of in the scripts of the real program, in this package's tests and in
// those of the lab.
func TestEveryDocumentedCommandIsRunByATest(t *testing.T) {
	scripts := source(t, "../../cmd/ssg-bootstrap/testdata/script/*.txtar")
	tests := source(t, "*_test.go") + source(t, "../../lab/e2e/*.go")
	for cmd, lines := range ours(t) {
		words := strings.Fields(cmd.CommandPath())[1:]
		inScript := regexp.MustCompile(`exec ssg-bootstrap (?:--config \S+ )?` + strings.Join(words, " ") + `\b`)
		inTest := regexp.MustCompile(`"` + strings.Join(words, `",\s*"`) + `"`)
		if !inScript.MatchString(scripts) && !inTest.MatchString(tests) {
			t.Errorf("%s tells to type %q, which no test does", lines[0].document, cmd.CommandPath())
		}
	}
}

// elsewhere marks what the documents tell to type that no test of `make test`
// types: by the first word, or by make and its target. What is neither here nor
// ours has to be tried or marked before it is told.
func elsewhere() map[string]string {
	return map[string]string{
		"make build":    "what each test of the program itself does by other means",
		"make test":     "runs this test",
		"make demo":     "the lab: QEMU, half an hour of building, apt as root",
		"make e2e":      "the lab",
		"make e2e-full": "the lab, and a day",
		"make figures":  "a computer that has nothing else to do",
		"kubectl":       "a cluster: lab/e2e has one, and the same client's library",
		"source":        "a shell; the script that it reads is made in usage.txtar",
	}
}

// blocks are the lines of a document's blocks of commands. Configuration and
// what the program prints stand in blocks as well.
func blocks(t *testing.T) []commandLine {
	t.Helper()
	other := regexp.MustCompile(`^(#|-|\||~/|[a-z]+:( |$))`)
	var out []commandLine
	for _, file := range pages(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, inside := "", false
		for line := range strings.Lines(string(data)) {
			// Indented text goes on with a list unless an empty line is before it.
			inside = strings.HasPrefix(line, "    ") && (inside || strings.TrimSpace(before) == "")
			before = line
			text, _, _ := strings.Cut(strings.TrimSpace(line), " #")
			if inside && text != "" && !other.MatchString(text) {
				out = append(out, commandLine{filepath.ToSlash(strings.TrimPrefix(file, "../../")), strings.Fields(text)})
			}
		}
	}
	return out
}

func TestWhatTheDocumentsTellToTypeIsTriedOrMarked(t *testing.T) {
	marks, used := elsewhere(), map[string]bool{}
	lines := blocks(t)
	if len(lines) < 40 {
		t.Fatalf("only %d lines are told to be typed", len(lines))
	}
	for _, c := range lines {
		what := strings.TrimPrefix(c.words[0], "bin/")
		if what == program {
			// TestEveryDocumentedCommandIsRunByATest knows these.
			continue
		}
		if what == "make" && len(c.words) > 1 {
			what += " " + c.words[1]
		}
		used[what] = true
		if marks[what] == "" {
			t.Errorf("%s tells to type %q, which no test does and which is not marked", c.document, strings.Join(c.words, " "))
		}
	}
	for what := range marks {
		if !used[what] {
			t.Errorf("%q is marked, and no document tells to type it", what)
		}
	}
}

// TestTargetsOfTheDocumentsExist holds what a reader is told to make.
func TestTargetsOfTheDocumentsExist(t *testing.T) {
	targets := source(t, "../../Makefile") + source(t, "../../lab/lab.mk")
	n := 0
	for _, c := range documented(t) {
		if c.words[0] != "make" || len(c.words) == 1 {
			continue
		}
		n++
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(c.words[1]) + `:`).MatchString(targets) {
			t.Errorf("%s: %s: there is no such target", c.document, strings.Join(c.words, " "))
		}
	}
	if n < 5 {
		t.Errorf("only %d targets are documented", n)
	}
}

func source(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatal(pattern, err)
	}
	var b strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}
