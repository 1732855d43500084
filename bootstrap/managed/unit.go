package managed

import (
	"context"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// Unit is what systemd says about one unit.
type Unit struct {
	Active, Enabled bool
	// State is systemd's word, as in "activating".
	State string
	// NeedsReload says that the file on disk is not the one systemd has read.
	NeedsReload bool
}

// UnitScript returns the fragment that asks for what ParseUnit reads, and for
// more properties in the same call. Times are told in UTC.
func UnitScript(name string, more ...string) string {
	properties := append([]string{"ActiveState", "UnitFileState", "NeedDaemonReload"}, more...)
	return "TZ=UTC LC_ALL=C systemctl show -p " + strings.Join(properties, ",") + " " + name + "\n"
}

// ParseUnit reads systemctl's key=value lines and passes over all others.
func ParseUnit(out []byte) Unit {
	var u Unit
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch k {
		case "ActiveState":
			u.State, u.Active = v, v == "active"
		case "UnitFileState":
			u.Enabled = v == "enabled"
		case "NeedDaemonReload":
			u.NeedsReload = v == "yes"
		}
	}
	return u
}

// Reload is the object of the change that has systemd read its files again.
const Reload = "systemd's units"

// DiffUnit returns what must change so that the unit is read and enabled;
// written says that its file is about to be written.
func DiffUnit(name string, u Unit, written bool) []step.Change {
	var out []step.Change
	if written || u.NeedsReload {
		out = append(out, step.Change{Verb: step.Update, Object: Reload, Why: "a unit file changed"})
	}
	if !u.Enabled {
		out = append(out, step.Change{Verb: step.Enable, Object: name, Why: "not enabled"})
	}
	return out
}

// ApplyUnit makes the changes of DiffUnit.
func ApplyUnit(ctx context.Context, h host.Host, name string, changes []step.Change) error {
	if Named(changes, Reload) {
		if err := systemctl(ctx, h, "daemon-reload"); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if c.Verb == step.Enable && c.Object == name {
			return systemctl(ctx, h, "enable", name)
		}
	}
	return nil
}

func systemctl(ctx context.Context, h host.Host, args ...string) error {
	argv := append([]string{"systemctl"}, args...)
	if _, err := h.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}
