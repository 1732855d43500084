package system

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// sysctls are written for the next boot and set for this one.
type sysctls struct {
	want  map[string]string
	files []managed.File
}

const sysctlPath = "/etc/sysctl.d/90-ssg-bootstrap.conf"

func newSysctls(want map[string]string) sysctls {
	return sysctls{want, []managed.File{{
		Path: sysctlPath, Mode: 0o644, Content: []byte(header + settings(want, " = ")),
	}}}
}

type sysctlsState struct {
	files managed.State
	live  map[string]string
}

func (s sysctls) ID() step.ID      { return SysctlsID }
func (s sysctls) Title() string    { return "Kernel parameters" }
func (s sysctls) Needs() []step.ID { return []step.ID{ModulesID} }
func (s sysctls) Lane() step.Lane  { return step.LaneBox }

func (s sysctls) keys() []string { return slices.Sorted(maps.Keys(s.want)) }

func (s sysctls) Observe(ctx context.Context, r host.Reader) (sysctlsState, error) {
	var script string
	if len(s.want) > 0 {
		// One process for all; a parameter that does not exist is left out of
		// the answer and only spoils the exit status.
		script = "sysctl -e " + strings.Join(s.keys(), " ") + " 2>/dev/null"
	}
	o, err := managed.Observe(ctx, r, managed.Look{Files: s.files, Script: script})
	if err != nil {
		return sysctlsState{}, err
	}
	live := map[string]string{}
	for line := range strings.Lines(string(o.Out)) {
		if k, v, ok := strings.Cut(line, " = "); ok {
			live[k] = words(v)
		}
	}
	return sysctlsState{o.Files, live}, nil
}

// words makes tabs and spaces alike, as the kernel separates values by tabs.
func words(v string) string { return strings.Join(strings.Fields(v), " ") }

func (s sysctls) Diff(seen sysctlsState) ([]step.Change, error) {
	out := managed.Diff(s.files, seen.files)
	for _, k := range s.keys() {
		if have := seen.live[k]; have != words(s.want[k]) {
			if have == "" {
				have = "unknown"
			}
			out = append(out, step.Change{Verb: step.Update, Object: k, Why: have + " → " + s.want[k]})
		}
	}
	return out, nil
}

func (s sysctls) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if err := managed.Apply(ctx, r.Host, s.files, changes); err != nil {
		return err
	}
	argv := []string{"sysctl", "-q", "-w"}
	for _, k := range s.keys() {
		if managed.Named(changes, k) {
			argv = append(argv, k+"="+s.want[k])
		}
	}
	if len(argv) == 3 {
		return nil
	}
	if err := run(ctx, r.Host, argv...); err != nil {
		return fmt.Errorf("set kernel parameters: %w", err)
	}
	return nil
}
