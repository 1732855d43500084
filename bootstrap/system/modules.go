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

// modules loads what k3s would load itself a moment later, so that the sysctls
// that come with a module can be set before k3s starts.
type modules struct {
	names []string
	files []managed.File
}

func newModules(f facts.Facts) modules {
	m := modules{}
	for _, name := range []string{"br_netfilter", "nf_conntrack", "overlay", "vxlan"} {
		// What the kernel does not have is preflight's to refuse or to note.
		if f.Modules[name] != facts.ModuleMissing {
			m.names = append(m.names, name)
		}
	}
	m.files = []managed.File{{
		Path: "/etc/modules-load.d/90-ssg-bootstrap.conf", Mode: 0o644,
		Content: []byte(header + strings.Join(m.names, "\n") + "\n"),
	}}
	return m
}

type modulesState struct {
	files  managed.State
	loaded map[string]bool
}

func (m modules) ID() step.ID      { return ModulesID }
func (m modules) Title() string    { return "Kernel modules" }
func (m modules) Needs() []step.ID { return nil }
func (m modules) Lane() step.Lane  { return step.LaneBox }

func (m modules) Observe(ctx context.Context, r host.Reader) (modulesState, error) {
	script := "for m in " + strings.Join(m.names, " ") + `; do
	[ -d "/sys/module/$m" ] && echo "$m"
done`
	o, err := managed.Observe(ctx, r, managed.Look{Files: m.files, Script: script})
	if err != nil {
		return modulesState{}, err
	}
	s := modulesState{files: o.Files, loaded: map[string]bool{}}
	for _, name := range strings.Fields(string(o.Out)) {
		s.loaded[name] = true
	}
	return s, nil
}

func (m modules) Diff(s modulesState) ([]step.Change, error) {
	out := managed.Diff(m.files, s.files)
	for _, name := range m.names {
		if !s.loaded[name] {
			out = append(out, step.Change{Verb: step.Start, Object: "module " + name, Why: "not loaded"})
		}
	}
	return out, nil
}

func (m modules) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if err := managed.Apply(ctx, r.Host, m.files, changes); err != nil {
		return err
	}
	argv := []string{"modprobe", "-a"}
	for _, name := range m.names {
		if managed.Named(changes, "module "+name) {
			argv = append(argv, name)
		}
	}
	if len(argv) == 2 {
		return nil
	}
	if err := run(ctx, r.Host, argv...); err != nil {
		return fmt.Errorf("load modules %s: %w", strings.Join(argv[2:], ", "), err)
	}
	return nil
}
