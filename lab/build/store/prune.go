package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// product is one version of what is in the store.
type product struct {
	path string
	used time.Time
}

// Prune removes all but the keep most recently used versions of each product.
// More than one is kept because a branch switched back and forth, and a second
// release, should not cost a build each time.
func (s *Store) Prune(keep int) error {
	versions, err := s.versions()
	if err != nil {
		return fmt.Errorf("prune store: %w", err)
	}
	var errs []error
	for _, list := range versions {
		sort.Slice(list, func(i, j int) bool { return list[i].used.After(list[j].used) })
		for _, old := range list[min(keep, len(list)):] {
			errs = append(errs, os.RemoveAll(old.path))
		}
	}
	return errors.Join(errs...)
}

// versions groups what is in the store by the product's name. Names that begin
// with a dot are locks and builds under way.
func (s *Store) versions() (map[string][]product, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	versions := map[string][]product{}
	for _, entry := range entries {
		end := strings.LastIndex(entry.Name(), "-")
		if strings.HasPrefix(entry.Name(), ".") || end < 0 {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		name := entry.Name()[:end]
		versions[name] = append(versions[name], product{path: filepath.Join(s.dir, entry.Name()), used: info.ModTime()})
	}
	return versions, nil
}
