// Package store keeps built products under the sum of what they were made
// from. It promises that a product which can be seen is whole: it is made in a
// folder of its own, flushed to the disk and only then given its name, and two
// builders of the same product never run at once.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// recipeFile tells, in each product's folder, what it was made from.
const recipeFile = ".recipe"

// Store is a folder of products.
type Store struct{ dir string }

// Open makes the folder if it is missing.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{dir: dir}, nil
}

// Get returns the folder of the product called name that recipe describes,
// and calls build to fill it when it is not there yet.
func (s *Store) Get(ctx context.Context, name string, recipe *Recipe, build func(ctx context.Context, dir string) error) (string, error) {
	final := filepath.Join(s.dir, name+"-"+recipe.Sum())
	if exists(final) {
		return final, touch(final)
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	// Whoever held the lock may have made just this.
	if exists(final) {
		return final, nil
	}
	if err := s.publish(ctx, final, recipe, build); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return final, nil
}

func (s *Store) publish(ctx context.Context, final string, recipe *Recipe, build func(ctx context.Context, dir string) error) error {
	// A fixed name, so that what a killed build left is removed by the next one.
	work := filepath.Join(s.dir, ".new-"+filepath.Base(final))
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	if err := build(ctx, work); err != nil {
		return errors.Join(err, os.RemoveAll(work))
	}
	if err := os.WriteFile(filepath.Join(work, recipeFile), []byte(recipe.String()), 0o644); err != nil {
		return err
	}
	if err := syncTree(work); err != nil {
		return err
	}
	if err := os.Rename(work, final); err != nil {
		return err
	}
	return syncPath(s.dir)
}

// lock takes the product's lock file. The kernel drops the lock when its
// holder dies, so no build can be locked out by one that was killed.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(s.dir, "."+name+".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for another build of %s: %w", name, ctx.Err()), file.Close())
		case <-tick.C:
		}
	}
}

// Link points name at target, relative to name's folder, replacing what was
// there in one step.
func Link(target, name string) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	relative, err := filepath.Rel(dir, target)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if old, err := os.Readlink(name); err == nil && old == relative {
		return nil
	}
	fresh := name + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if err := os.Symlink(relative, fresh); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if err := os.Rename(fresh, name); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}

// touch notes that a product was asked for; Prune goes by that.
func touch(path string) error {
	now := time.Now()
	return os.Chtimes(path, now, now)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		return syncPath(path)
	})
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
