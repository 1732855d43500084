package images

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func archive(t *testing.T, dir, content string) (string, fs.FileInfo) {
	t.Helper()
	path := filepath.Join(dir, "a.tar")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, stat(t, path)
}

func stat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func open(t *testing.T, dir string) *Cache {
	t.Helper()
	c, err := OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func imported(t *testing.T, dir, path string, info fs.FileInfo) {
	t.Helper()
	c := open(t, dir)
	c.Remember(path, info)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
}

func TestCacheDecides(t *testing.T) {
	cases := []struct {
		name   string
		file   *string // the cache file before the first import; nil for none
		change func(t *testing.T, path string)
		fresh  bool
	}{
		{"without the file nothing is skipped", nil, func(*testing.T, string) {}, false},
		{"an empty file switches it on", new(string), func(*testing.T, string) {}, true},
		{"a torn file counts as empty", text(`{"a": {"si`), func(*testing.T, string) {}, true},
		{"another size", new(string), func(t *testing.T, path string) { archive(t, filepath.Dir(path), "longer") }, false},
		{"another time", new(string), func(t *testing.T, path string) {
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.file != nil {
				if err := os.WriteFile(filepath.Join(dir, cacheName), []byte(*c.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path, info := archive(t, dir, "one")
			if open(t, dir).Fresh(path, info) {
				t.Fatal("skipped before the first import")
			}
			imported(t, dir, path, info)
			c.change(t, path)
			if got := open(t, dir).Fresh(path, stat(t, path)); got != c.fresh {
				t.Fatalf("skip: %v, want %v", got, c.fresh)
			}
		})
	}
}

func text(s string) *string { return &s }

func TestCacheIsNeverCreated(t *testing.T) {
	dir := t.TempDir()
	path, info := archive(t, dir, "one")
	imported(t, dir, path, info)
	if _, err := os.Stat(filepath.Join(dir, cacheName)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("cache file appeared:", err)
	}
}

func TestKnown(t *testing.T) {
	for name, want := range map[string]bool{
		"a.tar": true, "a.tar.gz": true, "a.tgz": true, "a.tar.zst": true, "a.tzst": true, "a.tar.bz2": true,
		"a.tbz": true, "a.tar.lz4": true, "a.txt": true, ".cache.json": false, "a.tar.part": false, "a.zip": false,
	} {
		if Known(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
