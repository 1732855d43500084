// Package bootstrap_test holds the laws of the code base.
//
// It keeps the promise that the shape of the program stays what docs/layout.md
// says: who imports what, that every package says what it promises, and that
// nothing happens behind a caller's back.
package bootstrap_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// file is one Go file of the main module; path is relative to its root.
type file struct {
	path string
	set  *token.FileSet
	ast  *ast.File
}

func (f file) test() bool           { return strings.HasSuffix(f.path, "_test.go") }
func (f file) dir() string          { return filepath.ToSlash(filepath.Dir(f.path)) }
func (f file) at(n ast.Node) string { return f.set.Position(n.Pos()).String() }

func (f file) imports() []string {
	var out []string
	for _, i := range f.ast.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		out = append(out, path)
	}
	return out
}

func files(t *testing.T) []file {
	t.Helper()
	var out []file
	set := token.NewFileSet()
	for _, top := range []string{"bootstrap", "chart", "cmd", "profiles", "runner"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			name, err := filepath.Rel("..", path)
			out = append(out, file{filepath.ToSlash(name), set, parsed})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d files found: these laws look at the wrong place", len(out))
	}
	return out
}

const module = "github.com/omkar619-dev/ssg-bootstrap/"

func TestForeignPackagesStayWhereTheyBelong(t *testing.T) {
	rules := []struct {
		imports string
		only    []string
	}{
		{"golang.org/x/crypto/ssh", []string{"bootstrap/host", "bootstrap/host/hosttest"}},
		{"github.com/skeema/knownhosts", []string{"bootstrap/host", "bootstrap/host/hosttest"}},
		{"github.com/pterm/pterm", []string{"bootstrap/report"}},
		{"github.com/google/go-containerregistry", []string{"bootstrap/images", "bootstrap/images/imagestest"}},
		{"k8s.io/", []string{"bootstrap/bench", "bootstrap/k3s", "bootstrap/cli/kubeconfig", "bootstrap/cluster", "bootstrap/release", "chart"}},
		{"helm.sh/helm/", []string{"bootstrap/release", "chart"}},
		{"github.com/rabbitmq/", []string{"bootstrap/release"}},
		{"github.com/rhysd/actionlint", []string{"runner/workflow"}},
		{"tailscale.com/", []string{"bootstrap/tailnet"}},
		{"filippo.io/age", []string{"bootstrap/secrets", "bootstrap/recovery/vault"}},
		{"github.com/spf13/cobra", []string{"bootstrap/cli", "bootstrap/cli/reference"}},
		{"github.com/spf13/pflag", []string{"bootstrap/cli"}},
	}
	for _, f := range files(t) {
		for _, path := range f.imports() {
			for _, r := range rules {
				if strings.HasPrefix(path, r.imports) && !slices.Contains(r.only, f.dir()) {
					t.Errorf("%s imports %s, which belongs to %s alone", f.path, path, strings.Join(r.only, " and "))
				}
			}
		}
	}
}

func TestStepImportsNothingForeign(t *testing.T) {
	for _, f := range files(t) {
		if f.dir() != "bootstrap/step" {
			continue
		}
		for _, path := range f.imports() {
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && !strings.HasPrefix(path, module) {
				t.Errorf("%s imports %s", f.path, path)
			}
		}
	}
}

func TestTestHelpersStayOutOfTheProgram(t *testing.T) {
	for _, f := range files(t) {
		for _, path := range f.imports() {
			helper := path == "testing" || strings.HasSuffix(path, "test") && strings.HasPrefix(path, module)
			if helper && !f.test() && !strings.HasSuffix(f.dir(), "test") {
				t.Errorf("%s imports %s", f.path, path)
			}
		}
	}
}

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	docs := map[string]string{}
	for _, f := range files(t) {
		if !f.test() && f.ast.Name.Name != "main" {
			docs[f.dir()] += f.ast.Doc.Text()
		}
	}
	for dir, doc := range docs {
		if !strings.HasPrefix(doc, "Package "+filepath.Base(dir)+" ") {
			t.Errorf("%s has no package doc that begins with its name", dir)
		}
		words := strings.Join(strings.Fields(doc), " ")
		if !strings.Contains(words, "It keeps ") || !strings.Contains(words, "promise") {
			t.Errorf("the package doc of %s does not say which promise it keeps", dir)
		}
	}
}

func TestNothingRunsBeforeMainAndOnlyMainExits(t *testing.T) {
	for _, f := range files(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init", f.at(fn))
			}
		}
		if f.test() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || pkg.Obj != nil {
				return true
			}
			name := pkg.Name + "." + sel.Sel.Name
			if strings.HasPrefix(name, "log.Fatal") || strings.HasPrefix(name, "log.Panic") || name == "os.Exit" && f.ast.Name.Name != "main" {
				t.Errorf("%s: %s", f.at(sel), name)
			}
			return true
		})
	}
}

// TestNoVariablesAtPackageLevel allows what cannot change: sentinel errors,
// embedded files, compiled expressions and assertions about types.
func TestNoVariablesAtPackageLevel(t *testing.T) {
	for _, f := range files(t) {
		if f.test() {
			continue
		}
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR || embedded(g) {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if v.Names[0].Name == "_" || len(v.Values) == 1 && constant(v.Values[0]) {
					continue
				}
				t.Errorf("%s: var %s", f.at(v), v.Names[0].Name)
			}
		}
	}
}

func embedded(g *ast.GenDecl) bool {
	return g.Doc != nil && slices.ContainsFunc(g.Doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") })
}

// constant reports whether a value is made once and not changed: an error, a
// regular expression, or an array, which unlike a slice or a map is a value.
func constant(v ast.Expr) bool {
	switch v := v.(type) {
	case *ast.CallExpr:
		sel, ok := v.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := sel.X.(*ast.Ident)
		return ok && slices.Contains([]string{"errors.New", "fmt.Errorf", "regexp.MustCompile", "netip.MustParsePrefix"}, pkg.Name+"."+sel.Sel.Name)
	case *ast.CompositeLit:
		a, ok := v.Type.(*ast.ArrayType)
		return ok && a.Len != nil
	}
	return false
}
