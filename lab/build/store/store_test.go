package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func recipeOf(t *testing.T, dir string, lines ...string) *Recipe {
	t.Helper()
	recipe := &Recipe{}
	recipe.Add("lines", lines...)
	if err := recipe.AddTree(dir, nil); err != nil {
		t.Fatal(err)
	}
	return recipe
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestSumChangesWithEveryIngredient(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "main.go"), "package main", 0o644)
	first := recipeOf(t, dir, "go1").Sum()
	if again := recipeOf(t, dir, "go1").Sum(); again != first {
		t.Errorf("the same ingredients gave %s and %s", first, again)
	}
	seen := map[string]string{first: "nothing"}
	changes := []struct {
		what  string
		apply func()
		line  string
	}{
		{"a flag", func() {}, "go2"},
		{"a file's content", func() { write(t, filepath.Join(dir, "a", "main.go"), "package other", 0o644) }, "go1"},
		{"a file's mode", func() { write(t, filepath.Join(dir, "a", "main.go"), "package other", 0o755) }, "go1"},
		{"a new file", func() { write(t, filepath.Join(dir, "b.go"), "", 0o644) }, "go1"},
		{"a file's name", func() { os.Rename(filepath.Join(dir, "b.go"), filepath.Join(dir, "c.go")) }, "go1"},
	}
	for _, change := range changes {
		change.apply()
		sum := recipeOf(t, dir, change.line).Sum()
		if before, known := seen[sum]; known {
			t.Errorf("a change of %s gave the same sum as a change of %s", change.what, before)
		}
		seen[sum] = change.what
	}
}

func TestGetBuildsOnceForManyAtOnce(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	recipe := &Recipe{}
	var builds atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			dir, err := s.Get(t.Context(), "thing", recipe, func(_ context.Context, dir string) error {
				builds.Add(1)
				return os.WriteFile(filepath.Join(dir, "file"), []byte("whole"), 0o644)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if content, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(content) != "whole" {
				t.Errorf("product holds %q, %v", content, err)
			}
		})
	}
	all.Wait()
	if n := builds.Load(); n != 1 {
		t.Errorf("built %d times, want once", n)
	}
}

func TestFailedBuildLeavesNothingToBeFound(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	recipe, broken := &Recipe{}, errors.New("out of cheese")
	_, err = s.Get(t.Context(), "thing", recipe, func(_ context.Context, dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o644), broken)
	})
	if !errors.Is(err, broken) {
		t.Fatalf("error = %v, want %v", err, broken)
	}
	dir, err := s.Get(t.Context(), "thing", recipe, func(_ context.Context, dir string) error {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("the next build finds %v", left)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "half")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the failed build wrote is in the product: %v", err)
	}
}

func TestGetGivesUpWaitingWhenTold(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := s.lock(t.Context(), "thing")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Get(ctx, "thing", &Recipe{}, func(context.Context, string) error {
		t.Error("built although another build held the lock")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
}

func TestLinkMovesFromOneProductToTheNext(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"old", "new"} {
		target := filepath.Join(dir, "store", name, "tool")
		write(t, target, name, 0o755)
		if err := Link(target, filepath.Join(dir, "out", "bin", "tool")); err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(filepath.Join(dir, "out", "bin", "tool")); err != nil || string(content) != name {
			t.Errorf("the link leads to %q, %v; want %q", content, err, name)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "out", "bin", "tool")); err != nil || filepath.IsAbs(target) {
		t.Errorf("the link is %q, %v: want a relative one, so that the cache can move", target, err)
	}
}

func TestPruneKeepsTheLastUsedOfEachProduct(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	get := func(name, version string) string {
		recipe := &Recipe{}
		recipe.Add("version", version)
		dir, err := s.Get(t.Context(), name, recipe, func(context.Context, string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	age := func(dir string, hours int) {
		then := time.Now().Add(-time.Duration(hours) * time.Hour)
		if err := os.Chtimes(dir, then, then); err != nil {
			t.Fatal(err)
		}
	}
	oldest, middle, other := get("k3s", "1"), get("k3s", "2"), get("k3s-server", "1")
	age(oldest, 3)
	age(middle, 2)
	age(other, 9)
	newest := get("k3s", "3")
	get("k3s", "1") // asked for again, so no longer the one to go
	if err := s.Prune(2); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{oldest: true, middle: false, newest: true, other: true} {
		if got := exists(dir); got != want {
			t.Errorf("%s is there: %t, want %t", filepath.Base(dir), got, want)
		}
	}
}
