package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Recipe lists everything that a product is made from, one line each. Its sum
// names the product, so whatever is left out of it can change without the
// product being made again.
type Recipe struct{ lines []string }

// Add notes one ingredient.
func (r *Recipe) Add(kind string, values ...string) {
	r.lines = append(r.lines, kind+" "+strings.Join(values, " "))
}

// AddTree notes every regular file below dir that keep accepts (nil: all), by
// path, mode and content, in the order of the paths.
func (r *Recipe) AddTree(dir string, keep func(path string) bool) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if keep != nil && !keep(name) {
			return nil
		}
		return r.AddFile(name, path)
	})
}

// AddFile notes one file under the given name; a link counts as what it points to.
func (r *Recipe) AddFile(name, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("note ingredient %s: %w", name, err)
	}
	sum, err := FileSum(path)
	if err != nil {
		return fmt.Errorf("note ingredient %s: %w", name, err)
	}
	// Only the executable bit: the rest of the mode is the checkout's umask.
	r.Add("file", name, fmt.Sprintf("exec=%t", info.Mode()&0o100 != 0), sum)
	return nil
}

// String is the recipe as it is kept beside the product.
func (r *Recipe) String() string { return strings.Join(r.lines, "\n") + "\n" }

// Sum names what the recipe makes.
func (r *Recipe) Sum() string {
	sum := sha256.Sum256([]byte(r.String()))
	return hex.EncodeToString(sum[:8])
}
