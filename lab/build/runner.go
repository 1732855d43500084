package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
	"github.com/omkar619-dev/ssg-bootstrap/lab/runner"
)

// sizeVariable, if set, is how many megabytes that cannot be compressed are put
// into the runner's package: 200 make it about as large as the real one.
const sizeVariable = "LAB_RUNNER_MB"

// runnerProgram says how one of the runner's programs is compiled.
func runnerProgram(name, output string) program {
	p := program{name: "runner-" + name, module: ".", sources: "runner/" + name, packages: []string{"./runner/" + name}, output: output}
	if name == "listener" {
		p.set = map[string]string{"main.version": github.RunnerVersion}
	}
	return p
}

// runner packs the stand-in for GitHub's runner and places it where GitHub
// keeps the releases of the real one.
func (b *builder) runner(ctx context.Context) error {
	padding, err := paddingOf(os.Getenv(sizeVariable))
	if err != nil {
		return err
	}
	var paths []string
	for _, p := range []program{runnerProgram("listener", "Runner.Listener"), runnerProgram("node", "node")} {
		dir, err := b.compile(ctx, p)
		if err != nil {
			return err
		}
		paths = append(paths, filepath.Join(dir, p.output))
	}
	recipe := &store.Recipe{}
	recipe.Add("padding", strconv.FormatInt(padding, 10))
	for _, path := range paths {
		if err := recipe.AddFile(filepath.Base(path), path); err != nil {
			return fmt.Errorf("describe runner: %w", err)
		}
	}
	for _, folder := range []string{"pack.go", "files"} {
		if err := recipe.AddTree(filepath.Join(b.lab, "runner", folder), nil); err != nil {
			return fmt.Errorf("describe runner: %w", err)
		}
	}
	to := github.RunnerPackage(b.out("mirror"))
	dir, err := b.get(ctx, "runner", recipe, func(_ context.Context, dir string, _ *os.File) error {
		return writeTo(filepath.Join(dir, filepath.Base(to)), func(file io.Writer) error {
			return runner.Pack(file, runner.Programs{Listener: paths[0], Node: paths[1]}, padding)
		})
	})
	if err != nil {
		return err
	}
	if err := place(filepath.Join(dir, filepath.Base(to)), to); err != nil {
		return fmt.Errorf("place %s: %w", filepath.Base(to), err)
	}
	return nil
}

func paddingOf(megabytes string) (int64, error) {
	if megabytes == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(megabytes, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s=%q: write a whole number of megabytes", sizeVariable, megabytes)
	}
	return n * 1_000_000, nil
}

// writeTo makes a file of what write writes.
func writeTo(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
