//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// figures collects what was measured, to be printed together at the end of a
// run as well as at the place where it was seen.
type figures struct {
	mu    sync.Mutex
	lines []string
}

func (f *figures) add(t *testing.T, name, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf("figure: %-44s %s", name, fmt.Sprintf(format, args...))
	f.mu.Lock()
	f.lines = append(f.lines, line)
	f.mu.Unlock()
	t.Log(line)
}

// steps adds those of a run that took a second or more, the longest first.
func (f *figures) steps(t *testing.T, r *run) {
	t.Helper()
	took := r.steps()
	names := slices.Collect(maps.Keys(took))
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(took[b], took[a]) })
	for _, name := range names {
		if took[name] >= time.Second {
			f.add(t, "  step "+name, "%s", seconds(took[name]))
		}
	}
}

func (f *figures) print(t *testing.T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.lines {
		fmt.Println(line)
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
