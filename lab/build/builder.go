// Package build turns sources into the lab's release files. It promises that a
// product is made once: everything it is made from is part of its name in the
// store, so a second build with the same sources takes no time, and a change
// of any of them makes it anew.
package build

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

// builder knows where the sources are and where products go.
type builder struct {
	lab   string // the folder of the lab's module
	cache string // the lab's folder in the user's cache
	store *store.Store
	log   *slog.Logger
}

func open(log *slog.Logger) (*builder, error) {
	lab, err := findLab()
	if err != nil {
		return nil, err
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find cache folder: %w", err)
	}
	cache := filepath.Join(user, "ssg-bootstrap", "lab")
	products, err := store.Open(filepath.Join(cache, "store"))
	if err != nil {
		return nil, err
	}
	return &builder{lab: lab, cache: cache, store: products, log: log}, nil
}

// findLab looks for the lab's module at and above the working folder, for the
// sources of the nested modules lie beside it.
func findLab() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the lab's sources: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "lab")} {
			if info, err := os.Stat(filepath.Join(candidate, "third_party")); err == nil && info.IsDir() {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the lab's sources: no lab/third_party at or above %s: run this inside the checkout", start)
		}
	}
}

// out is the path of something in the folder where others look for products.
func (b *builder) out(parts ...string) string {
	return filepath.Join(append([]string{b.cache, "out"}, parts...)...)
}

// get returns the folder of a product, building it when it is missing, and
// says how long that took. make gets a file for whatever its tools print.
func (b *builder) get(ctx context.Context, name string, recipe *store.Recipe, make func(ctx context.Context, dir string, log *os.File) error) (string, error) {
	return b.store.Get(ctx, name, recipe, func(ctx context.Context, dir string) error {
		log, err := b.openLog(name)
		if err != nil {
			return err
		}
		defer log.Close()
		start := time.Now()
		b.log.Info("building", "product", name, "log", log.Name())
		if err := make(ctx, dir, log); err != nil {
			return &failure{err: err, log: log.Name()}
		}
		b.log.Info("built", "product", name, "took", time.Since(start).Round(time.Second/10))
		return nil
	})
}

func (b *builder) openLog(name string) (*os.File, error) {
	dir := filepath.Join(b.cache, "log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.Create(filepath.Join(dir, "build-"+name+".log"))
}

// failure is a build that failed, with the end of what its tools printed.
type failure struct {
	err error
	log string
}

const tailLines = 30

func (f *failure) Error() string {
	content, err := os.ReadFile(f.log)
	if err != nil {
		return fmt.Sprintf("%v (and its log cannot be read: %v)", f.err, err)
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return fmt.Sprintf("%v\n  | %s\nthe whole log: %s", f.err, strings.Join(lines, "\n  | "), f.log)
}

func (f *failure) Unwrap() error { return f.err }

// output runs a command in dir and returns what it prints, without the last newline.
func output(ctx context.Context, dir string, argv ...string) (string, error) {
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Dir = dir
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
