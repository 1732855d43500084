package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
)

func (d StatusData) write(w io.Writer, width int, now time.Time) {
	t := report.Table{}
	row := func(name, format string, args ...any) {
		t.Rows = append(t.Rows, []string{name, report.Clean(fmt.Sprintf(format, args...))})
	}
	f := d.Facts
	row("box", "%s, %s, kernel %s", f.HostName, f.Distribution.Name, f.Kernel)
	row("cpu", "%s, %d cores, x86-64-v%d", strings.Join(strings.Fields(f.CPU.Model), " "), f.CPU.Cores, f.CPU.Level)
	row("memory", "%s free of %s", report.MemoryBytes(f.Memory.Available), report.MemoryBytes(f.Memory.Total))
	for _, fs := range f.FileSystems {
		row("disk", "%s: %s free of %s", fs.Path, report.Bytes(fs.Free), report.Bytes(fs.Size))
	}
	if d.Tailnet != nil {
		describeTailnet(row, *d.Tailnet, now)
	}
	describeK3s(row, d.K3s, now, d.AgentOf != nil)
	if d.Bench != nil {
		row("bench", "%s measures boots, or broke off: then `ssg-bootstrap bench --clean --host %s` removes what is left", d.Bench.Holder, d.Host)
	}
	if d.AgentOf != nil {
		d.AgentOf.describe(row)
		_ = t.Write(w, width)
		return
	}
	if d.Runner != nil {
		describeRunner(row, *d.Runner)
	}
	row("backup", "%s", d.Backup)
	_ = t.Write(w, width)
}

func describeTailnet(row func(name, format string, args ...any), s tailnet.Status, now time.Time) {
	if !s.Running() {
		row("tailnet", "%s", strings.Join(strings.Fields("not connected: tailscaled is "+cmp.Or(s.State, s.Unit)+" "+s.Says), " "))
	} else {
		row("tailnet", "%s", s.Summary(now))
		row("", "%s", s.Paths())
	}
	if s.Memory > 0 {
		row("", "tailscaled %s, %s of memory", s.Version, report.MemoryBytes(s.Memory))
	}
	for _, h := range s.Health {
		row("", "%s", h)
	}
}

func describeK3s(row func(name, format string, args ...any), s k3s.Status, now time.Time, agent bool) {
	switch {
	case !s.Installed:
		row("k3s", "not installed")
		return
	case s.Unit != "active":
		row("k3s", "%s", s.Unit)
		return
	case s.Since.IsZero():
		row("k3s", "runs as process %s", s.PID)
	default:
		row("k3s", "runs as process %s for %s, restarted by itself %d times", s.PID, report.Duration(now.Sub(s.Since)), s.Restarts)
	}
	if m := s.Memory; m.Server > 0 {
		row("", "%s of memory: k3s %s, containerd %s, shims %s", report.MemoryBytes(m.Server+m.Containerd+m.Shims),
			report.MemoryBytes(m.Server), report.MemoryBytes(m.Containerd), report.MemoryBytes(m.Shims))
	}
	if s.Datastore > 0 {
		row("", "%s of cluster state", report.Bytes(s.Datastore))
	}
	if s.Node == "" && !agent {
		row("node", "the API does not answer")
		return
	}
	if agent {
		return
	}
	state := "Ready"
	if !s.Ready {
		state = "not Ready: " + s.NodeSays
	}
	row("node", "%s, %s, %s, %s", s.Node, s.Version, s.Runtime, state)
	for _, a := range s.Agents {
		row("agent", "%s", agentText(a))
	}
	describePods(row, s.Pods)
}

func describePods(row func(name, format string, args ...any), pods []k3s.Pod) {
	works := 0
	var rest []string
	for _, p := range pods {
		if p.Works() {
			works++
			continue
		}
		name := strings.TrimPrefix(p.Namespace+"/"+p.Name, "/")
		rest = append(rest, fmt.Sprintf("%s: %s, %s ready, %s restarts", name, p.Status, p.Ready, p.Restarts))
	}
	row("pods", "%d of %d run or are done", works, len(pods))
	for _, line := range rest {
		row("", "%s", line)
	}
}
