package facts

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
)

//go:embed gather.sh
var gatherScript string

// Gather looks at the box, in one round trip.
func Gather(ctx context.Context, r host.Reader) (Facts, error) {
	before := time.Now()
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", managed.WithFile + gatherScript, "sh"}, Root: true})
	if err != nil {
		return Facts{}, fmt.Errorf("gather facts: %w", err)
	}
	f, seen, err := parse(out)
	if err != nil {
		return Facts{}, fmt.Errorf("gather facts: %w", err)
	}
	f.Clock.Skew, f.Clock.Uncertainty = seen.skew(before, time.Now())
	return f, nil
}

// clockReading is the box's clock at the script's start and end; up is its
// uptime at the start.
type clockReading struct {
	first, last time.Time
	up          time.Duration
}

// skew brackets the difference: the script started after before and ended
// ahead of after, on a clock that is off by a constant.
func (c clockReading) skew(before, after time.Time) (middle, uncertainty time.Duration) {
	most := c.first.Sub(before.Round(0))
	least := c.last.Sub(after.Round(0))
	return least + (most-least)/2, (most - least) / 2
}
