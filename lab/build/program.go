package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

// program is one or more commands compiled from one Go module.
type program struct {
	name     string   // of the product
	module   string   // folder of the module, below the lab's
	sources  string   // folder whose files count; the module's if empty
	packages []string // what to compile
	output   string   // the command's name when it is not the package's
	tags     []string
	set      map[string]string // string variables that the linker fills in
	cgo      bool              // compile against the machine's C library, statically
	packs    []string          // Debian packages linked into it, whose versions count
	level    string            // of the processor's instructions; v1 if empty
	replaced *replacement
}

// replacement is a source file of a dependency that is compiled from another one.
type replacement struct {
	module string // of the dependency
	file   string // below that module
	with   string // below the program's module
}

// compile returns the folder that holds the program's commands.
func (b *builder) compile(ctx context.Context, p program) (string, error) {
	recipe, err := b.programRecipe(ctx, p)
	if err != nil {
		return "", fmt.Errorf("describe %s: %w", p.name, err)
	}
	return b.get(ctx, p.name, recipe, func(ctx context.Context, dir string, log *os.File) error {
		target := dir + string(filepath.Separator)
		if p.output != "" {
			target = filepath.Join(dir, p.output)
		}
		argv := append([]string{"build", "-o", target}, p.flags()...)
		if p.replaced != nil {
			modfile, remove, err := b.replace(ctx, p)
			if err != nil {
				return err
			}
			defer remove()
			argv = append(argv, "-modfile", modfile)
		}
		command := b.goCommand(ctx, p, append(argv, p.packages...)...)
		command.Stdout, command.Stderr = log, log
		return command.Run()
	})
}

// goCommand prepares the go command in the program's module.
func (b *builder) goCommand(ctx context.Context, p program, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir, command.Env = filepath.Join(b.lab, p.module), append(os.Environ(), p.environment()...)
	// Interrupted, it stops the compilers that it started; killed, it leaves them running.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	return command
}

func (b *builder) programRecipe(ctx context.Context, p program) (*store.Recipe, error) {
	module := filepath.Join(b.lab, p.module)
	version, err := output(ctx, module, "go", "env", "GOVERSION")
	if err != nil {
		return nil, err
	}
	recipe := &store.Recipe{}
	recipe.Add("go", version)
	recipe.Add("environment", p.environment()...)
	recipe.Add("flags", p.flags()...)
	recipe.Add("packages", p.packages...)
	recipe.Add("output", p.output)
	if p.replaced != nil {
		recipe.Add("replaced", p.replaced.module, p.replaced.file, p.replaced.with)
	}
	if p.cgo {
		if err := addToolchain(ctx, recipe, p.packs); err != nil {
			return nil, err
		}
	}
	sources := module
	if p.sources != "" {
		sources = filepath.Join(b.lab, p.sources)
		// It tells the versions of what those sources import.
		if err := recipe.AddFile("go.mod", filepath.Join(module, "go.mod")); err != nil {
			return nil, err
		}
	}
	if err := recipe.AddTree(sources, compiled); err != nil {
		return nil, err
	}
	return recipe, nil
}

// compiled tells which of a module's files can change what comes out of it.
func compiled(path string) bool {
	return !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".md") && !strings.Contains(path, "testdata/")
}

// addToolchain notes the C compiler and the packages that are linked in.
func addToolchain(ctx context.Context, recipe *store.Recipe, packages []string) error {
	versions, err := output(ctx, "", append([]string{"dpkg-query", "--show", "gcc", "libc6-dev"}, packages...)...)
	if err != nil {
		return err
	}
	recipe.Add("toolchain", strings.Fields(versions)...)
	return nil
}

func (p program) flags() []string {
	ldflags := []string{"-s", "-w"}
	if p.cgo {
		ldflags = append(ldflags, "-linkmode", "external", "-extldflags", "-static")
	}
	for _, name := range sortedNames(p.set) {
		ldflags = append(ldflags, "-X", name+"="+p.set[name])
	}
	flags := []string{"-ldflags", strings.Join(ldflags, " ")}
	tags := p.tags
	if p.cgo {
		// Go's own resolver and user lookup: glibc's need shared libraries at run time.
		tags = append([]string{"netgo", "osusergo"}, tags...)
	}
	if len(tags) > 0 {
		flags = append(flags, "-tags", strings.Join(tags, ","))
	}
	return flags
}

// environment overrides whatever the builder's user has set, so that the same
// sources give the same commands everywhere. The level is the first one unless
// a program is meant not to run on the box: it has no later instructions.
func (p program) environment() []string {
	cgo, level := "0", "v1"
	if p.cgo {
		cgo = "1"
	}
	if p.level != "" {
		level = p.level
	}
	return []string{
		"CGO_ENABLED=" + cgo, "GOOS=linux", "GOARCH=amd64", "GOAMD64=" + level, "GOWORK=off", "GOEXPERIMENT=",
		"GOFLAGS=-trimpath -buildvcs=false -mod=readonly",
		"CGO_CFLAGS=-O2 -g", "CGO_CPPFLAGS=", "CGO_LDFLAGS=-O2 -g",
	}
}

// moduleVersion is the version of a module that the go.mod in dir asks for.
func moduleVersion(dir, path string) (string, error) {
	name := filepath.Join(dir, "go.mod")
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read version of %s: %w", path, err)
	}
	file, err := modfile.Parse(name, content, nil)
	if err != nil {
		return "", fmt.Errorf("read version of %s: %w", path, err)
	}
	for _, required := range file.Require {
		if required.Mod.Path == path {
			return required.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("read version of %s: %s does not require it", path, name)
}
