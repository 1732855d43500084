package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cli/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

func newCmdStatus(a *app) *cobra.Command {
	var o hostFlags
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say how the box and its cluster are",
		Long:    "Say how the box and its cluster are. Exits with status 1 when the node is not\nReady or k3s is not there.",
		Example: "  ssg-bootstrap status --host oldpc\n  ssg-bootstrap status --host oldpc -o json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return statusRun(cmd.Context(), a, o) },
	}
	o.add(a, cmd)
	return cmd
}

// StatusData is how a box is, as programs get it.
type StatusData struct {
	Host      string          `json:"host"`
	Installed bool            `json:"installed"`
	Active    bool            `json:"active"`
	Ready     bool            `json:"ready"`
	Facts     facts.Facts     `json:"facts"`
	Cluster   *cluster.Health `json:"cluster,omitempty"`
}

func statusRun(ctx context.Context, a *app, o hostFlags) error {
	s, err := a.open(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.look(ctx, specFlags{}); err != nil {
		return err
	}
	d := StatusData{Host: s.name, Facts: s.facts, Installed: s.facts.K3s.Binary && s.facts.K3s.Unit, Active: s.facts.K3s.Active}
	var apiErr error
	if d.Active {
		d.Cluster, apiErr = s.health(ctx)
		d.Ready = apiErr == nil && d.Cluster.Ready()
	}
	a.answer(d, func(w io.Writer) { d.write(w, a.width()) })
	switch {
	case apiErr != nil:
		return fmt.Errorf("ask the API: %w", apiErr)
	case !d.Installed:
		return fault.New(fault.NotInstalled, "", "k3s is not installed on %s", s.name)
	case !d.Active:
		return fault.New(fault.NotInstalled, "`ssg-bootstrap install --host "+s.name+"` starts it and says what keeps it from running", "k3s is installed on %s and does not run", s.name)
	case !d.Ready:
		return fault.New(fault.WaitStalled, "`ssg-bootstrap install --host "+s.name+"` waits for it", "the node is not Ready")
	}
	return nil
}

func (s *session) health(ctx context.Context) (*cluster.Health, error) {
	config, err := s.adminConfig(ctx)
	if err != nil {
		return nil, err
	}
	_, end := s.a.task("cluster", "ask the API")
	h, err := cluster.Read(ctx, config, s.client.Dial)
	end(err)
	if err != nil {
		return nil, err
	}
	return &h, nil
}

func (d StatusData) write(w io.Writer, width int) {
	t := report.Table{}
	row := func(name, format string, args ...any) {
		t.Rows = append(t.Rows, []string{name, report.Clean(fmt.Sprintf(format, args...))})
	}
	f := d.Facts
	row("box", "%s, %s, kernel %s", f.HostName, f.Distribution.Name, f.Kernel)
	row("cpu", "%s, %d cores, x86-64-v%d", f.CPU.Model, f.CPU.Cores, f.CPU.Level)
	row("memory", "%s free of %s", report.MemoryBytes(f.Memory.Available), report.MemoryBytes(f.Memory.Total))
	for _, fs := range f.FileSystems {
		row("disk", "%s: %s free of %s", fs.Path, report.Bytes(fs.Free), report.Bytes(fs.Size))
	}
	row("k3s", "%s", d.service())
	if d.Cluster != nil {
		d.cluster(row)
	}
	_ = t.Write(w, width)
}

func (d StatusData) service() string {
	switch {
	case d.Active:
		return "runs"
	case d.Installed:
		return "installed, does not run"
	}
	return "not installed"
}

func (d StatusData) cluster(row func(name, format string, args ...any)) {
	for _, n := range d.Cluster.Nodes {
		state := "Ready"
		if !n.Ready {
			state = "not Ready: " + n.Reason
		}
		row("node", "%s, %s, %s", n.Name, n.Version, state)
	}
	fine := 0
	var rest []string
	for _, p := range d.Cluster.Pods {
		if p.Ready || p.Done {
			fine++
			continue
		}
		rest = append(rest, strings.TrimSpace(fmt.Sprintf("%s/%s %s %s", p.Namespace, p.Name, p.Phase, p.Reason)))
	}
	row("pods", "%d of %d ready or done", fine, len(d.Cluster.Pods))
	for _, line := range rest {
		row("", "%s", line)
	}
}
