package bootstrap_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents returns the pages that people read, by their path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"../README.md", "../docs/*.md", "../docs/*/*.md", "../chart/studentsystemgo/README.md", "../lab/README.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.ToSlash(strings.TrimPrefix(f, ".."+string(filepath.Separator)))] = string(data)
		}
	}
	if len(out) < 10 {
		t.Fatalf("only %d documents found", len(out))
	}
	return out
}

// testNames are the tests of both modules.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(data), -1) {
			names[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestTheDocumentsNameWhatIsThere looks for every path, test and page that a
// document names.
func TestTheDocumentsNameWhatIsThere(t *testing.T) {
	tests := testNames(t)
	path := regexp.MustCompile("`((?:bootstrap|chart|cmd|docs|lab|profiles|runner)/[A-Za-z0-9_./-]*)`")
	test := regexp.MustCompile("`(Test[A-Z]\\w+)")
	code := regexp.MustCompile("`[^`]*`")
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for name, text := range documents(t) {
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
		for _, m := range test.FindAllStringSubmatch(text, -1) {
			if !tests[m[1]] {
				t.Errorf("%s names %s, which is no test", name, m[1])
			}
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(name), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
}

// TestTheHostToAskForIsTheCharts: the ingress answers to its host alone, and so
// the lines that ask it must name that one.
func TestTheHostToAskForIsTheCharts(t *testing.T) {
	chart, err := os.ReadFile("../chart/studentsystemgo/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	host := regexp.MustCompile(`(?m)^ingress:\n(?:[ #].*\n)*?  host: (\S+)$`).FindSubmatch(chart)
	if host == nil {
		t.Fatal("the chart's values have no ingress.host")
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	texts := documents(t)
	texts["Makefile"] = string(makefile)
	asked := regexp.MustCompile(`curl [^\n]*-H 'Host: ([^']+)'`)
	if !asked.MatchString(texts["Makefile"]) {
		t.Error("`make demo` does not say how to see the application answer")
	}
	for name, text := range texts {
		for _, m := range asked.FindAllStringSubmatch(text, -1) {
			if m[1] != string(host[1]) {
				t.Errorf("%s asks for %s, the chart's ingress answers to %s", name, m[1], host[1])
			}
		}
	}
}
