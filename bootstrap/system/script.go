package system

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
)

const header = managed.Marker + "\n"

// settings writes key, separator, value, one a line, sorted.
func settings(m map[string]string, separator string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b.WriteString(k + separator + m[k] + "\n")
	}
	return b.String()
}

// run runs one program as root, for its effect.
func run(ctx context.Context, h host.Host, argv ...string) error {
	if _, err := h.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("run %s: %w", argv[0], err)
	}
	return nil
}
