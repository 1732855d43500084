package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// replace makes a copy of a dependency with one file replaced, and a go.mod
// that uses it. It returns that go.mod and what removes both. (The go command's
// own overlays may not touch the module cache.)
func (b *builder) replace(ctx context.Context, p program) (modfile string, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "replace-")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	modfile, err = b.replaceIn(ctx, p, dir)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("replace %s of %s: %w", p.replaced.file, p.replaced.module, err), remove())
	}
	return modfile, remove, nil
}

func (b *builder) replaceIn(ctx context.Context, p program, dir string) (string, error) {
	sources, err := b.download(ctx, p, p.replaced.module)
	if err != nil {
		return "", err
	}
	dependency, module := filepath.Join(dir, "dependency"), filepath.Join(b.lab, p.module)
	if err := os.CopyFS(dependency, os.DirFS(sources)); err != nil {
		return "", err
	}
	target := filepath.Join(dependency, p.replaced.file)
	// It must be there: a file under a new name would be one more, not another.
	if err := os.Remove(target); err != nil {
		return "", err
	}
	if err := copyFile(filepath.Join(module, p.replaced.with), target, 0o644); err != nil {
		return "", err
	}
	if err := copyFile(filepath.Join(module, "go.sum"), filepath.Join(dir, "go.sum"), 0o644); err != nil {
		return "", err
	}
	return filepath.Join(dir, "go.mod"), writeReplace(filepath.Join(module, "go.mod"), filepath.Join(dir, "go.mod"), p.replaced.module, dependency)
}

// writeReplace writes a copy of a go.mod in which module comes from a folder.
func writeReplace(from, to, module, folder string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	file, err := modfile.Parse(from, content, nil)
	if err != nil {
		return err
	}
	if err := file.AddReplace(module, "", folder, ""); err != nil {
		return err
	}
	content, err = file.Format()
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

// download returns the folder of a dependency's sources, fetching them if need be.
func (b *builder) download(ctx context.Context, p program, module string) (string, error) {
	out, err := b.goCommand(ctx, p, "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("download: %w", err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("download: %w", err)
	}
	return found.Dir, nil
}
