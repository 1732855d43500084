package bootstrap_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestWorkstationsOfAllSystemsCanBeBuiltFor holds what is built for macOS and
// Windows to what their package syscall has. `make dist` would find out too, an
// hour after the change.
func TestWorkstationsOfAllSystemsCanBeBuiltFor(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		target := build.Default
		target.GOOS, target.GOARCH, target.CgoEnabled = system, "amd64", false
		has := declared(t, target, filepath.Join(runtime.GOROOT(), "src", "syscall"))
		if !has["ENOSPC"] {
			t.Fatalf("%s: package syscall was not read", system)
		}
		for _, top := range []string{"../cmd", ".", "../runner", "../profiles", "../chart"} {
			for _, dir := range foldersIn(t, top) {
				for _, file := range sourcesFor(t, target, dir) {
					for name, where := range fromSyscall(t, file) {
						if !has[name] {
							t.Errorf("%s: %s has no syscall.%s", where, system, name)
						}
					}
				}
			}
		}
	}
}

func foldersIn(t *testing.T, top string) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// sourcesFor are the files of a folder that a build for the target takes.
func sourcesFor(t *testing.T, target build.Context, dir string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		matches, err := target.MatchFile(dir, filepath.Base(file))
		if err != nil {
			t.Fatal(err)
		}
		if matches && !strings.HasSuffix(file, "_test.go") {
			files = append(files, file)
		}
	}
	return files
}

// declared are the names at the top of a package as it is built for the target.
func declared(t *testing.T, target build.Context, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, file := range sourcesFor(t, target, dir) {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[d.Name.Name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

// fromSyscall are the names that a file takes from package syscall, and where.
func fromSyscall(t *testing.T, file string) map[string]token.Position {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]token.Position{}
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "syscall" {
				taken[s.Sel.Name] = set.Position(s.Pos())
			}
		}
		return true
	})
	return taken
}
