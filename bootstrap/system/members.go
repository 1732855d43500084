package system

import (
	"context"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// members is the record of the cluster's other boxes, which facts reads.
type members struct{ file managed.File }

func newMembers(c facts.Cluster) members {
	var b strings.Builder
	fmt.Fprintf(&b, "%saddress %s\n", header, c.Address)
	if c.Server.Name != "" {
		fmt.Fprintf(&b, "server %s %s\n", c.Server.Name, c.Server.Address)
	}
	for _, a := range c.Agents {
		fmt.Fprintf(&b, "agent %s %s\n", a.Name, a.Address)
	}
	return members{managed.File{Path: facts.ClusterPath, Mode: 0o644, Content: []byte(b.String())}}
}

func (m members) ID() step.ID      { return ClusterID }
func (m members) Title() string    { return "Record of the cluster's boxes" }
func (m members) Needs() []step.ID { return nil }
func (m members) Lane() step.Lane  { return step.LaneBox }

func (m members) Observe(ctx context.Context, r host.Reader) (managed.State, error) {
	o, err := managed.Observe(ctx, r, managed.Look{Files: []managed.File{m.file}})
	return o.Files, err
}

func (m members) Diff(s managed.State) ([]step.Change, error) {
	return managed.Diff([]managed.File{m.file}, s), nil
}

func (m members) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	return managed.Apply(ctx, r.Host, []managed.File{m.file}, changes)
}
