//go:build e2e

package e2e

import (
	"testing"
	"time"
)

// part is one of the parts of a test on a box: what it shows, and what runs it.
type part[Run any] struct {
	name string
	run  Run
}

// inOrder runs parts that build on each other: the first that fails ends the
// test.
func inOrder[Run any](t *testing.T, parts []part[Run], do func(*testing.T, Run)) {
	t.Helper()
	for _, p := range parts {
		if !p.timed(t, do) {
			t.FailNow()
		}
	}
}

// timed runs one part and says how long it took.
func (p part[Run]) timed(t *testing.T, do func(*testing.T, Run)) bool {
	t.Helper()
	return t.Run(p.name, func(t *testing.T) {
		begin := time.Now()
		do(t, p.run)
		t.Logf("took %s", seconds(time.Since(begin)))
	})
}
