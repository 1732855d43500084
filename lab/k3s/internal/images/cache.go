package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// cacheName is the file that switches the cache on. It is never made here:
// whoever wants faster starts creates it, and accepts that pins are then not
// renewed for archives that were skipped.
const cacheName = ".cache.json"

type entry struct {
	Size    int64     `json:"size"`
	ModTime time.Time `json:"modTime"`
}

// Cache remembers which archives were imported and how they looked then.
type Cache struct {
	path    string
	enabled bool
	old     map[string]entry
	now     map[string]entry
}

// OpenCache reads the cache file beside the archives, if there is one.
func OpenCache(dir string) (*Cache, error) {
	c := &Cache{path: filepath.Join(dir, cacheName), old: map[string]entry{}, now: map[string]entry{}}
	b, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read image cache: %w", err)
	}
	c.enabled = true
	// An empty file switches the cache on. One that was torn by a power cut
	// counts as empty: importing again costs time and breaks nothing.
	if json.Unmarshal(b, &c.old) != nil || c.old == nil {
		c.old = map[string]entry{}
	}
	return c, nil
}

// Fresh says whether the archive was imported as it is now.
func (c *Cache) Fresh(path string, info fs.FileInfo) bool {
	e, ok := c.old[path]
	if !c.enabled || !ok || e.Size != info.Size() || !e.ModTime.Equal(info.ModTime()) {
		return false
	}
	c.now[path] = e
	return true
}

// Remember notes an archive that was imported.
func (c *Cache) Remember(path string, info fs.FileInfo) {
	c.now[path] = entry{Size: info.Size(), ModTime: info.ModTime()}
}

// Save writes what is known now; archives that have gone are forgotten.
func (c *Cache) Save() error {
	if !c.enabled {
		return nil
	}
	b, err := json.MarshalIndent(c.now, "", "  ")
	if err != nil {
		return err
	}
	tmp := c.path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("write image cache: %w", err)
	}
	return os.Rename(tmp, c.path)
}

// keep carries the entries of files that were not looked at.
func (c *Cache) keep() {
	for path, e := range c.old {
		if _, ok := c.now[path]; !ok {
			c.now[path] = e
		}
	}
}
