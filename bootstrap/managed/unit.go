package managed

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// Unit is what systemd says about one unit. One that systemd does not know is
// neither loaded nor anything else.
type Unit struct {
	Loaded, Active, Enabled bool
	// State is systemd's word, as in "activating".
	State string
	// NeedsReload says that the file on disk is not the one systemd has read.
	NeedsReload bool
	// PID is the main process, "0" if there is none, and Started its start.
	PID     string
	Started time.Time
	// Restarts counts how often systemd started the unit again by itself.
	Restarts int
	// Entered is when the unit became active.
	Entered time.Time
}

// Units is what systemd said, by the units' names.
type Units map[string]Unit

// WithFile is a shell function that sets known to those of its arguments, names
// of units with their suffix, which have a file. systemd takes an old CPU 30 ms
// to find that it does not know a name, which a look at the folders tells sooner.
const WithFile = `with_file() {
	known=
	for u; do
		for d in /etc /run /usr/local/lib /usr/lib /lib; do
			if [ -e "$d/systemd/system/$u" ]; then known="$known $u"; break; fi
		done
	done
}
`

const unitsScript = WithFile + `with_file "$@"
[ -n "$known" ] || exit 0
TZ=UTC LC_ALL=C systemctl show -p Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,MainPID,NRestarts,ExecMainStartTimestamp,ActiveEnterTimestamp -- $known
:
`

// UnitsQuery asks for what ParseUnits reads. Names have their suffix.
func UnitsQuery(names ...string) host.Command {
	return host.Command{Argv: []string{"sh", "-c", unitsScript, "sh"}, Also: names, Root: true}
}

// ParseUnits reads systemctl's blocks of key=value lines.
func ParseUnits(out []byte) Units {
	units := Units{}
	for block := range strings.SplitSeq(string(out), "\n\n") {
		m := Pairs([]byte(block))
		if id := m["Id"]; id != "" {
			units[id] = newUnit(m)
		}
	}
	return units
}

func newUnit(m map[string]string) Unit {
	restarts, _ := strconv.Atoi(m["NRestarts"])
	return Unit{
		Loaded:      m["LoadState"] == "loaded",
		Active:      m["ActiveState"] == "active",
		Enabled:     m["UnitFileState"] == "enabled",
		State:       m["ActiveState"],
		NeedsReload: m["NeedDaemonReload"] == "yes",
		PID:         m["MainPID"],
		Restarts:    restarts,
		Started:     stamp(m["ExecMainStartTimestamp"]),
		Entered:     stamp(m["ActiveEnterTimestamp"]),
	}
}

// stamp reads a time such as "Sun 2026-11-22 21:26:43 UTC"; what never
// happened has none.
func stamp(s string) time.Time {
	t, err := time.Parse("Mon 2006-01-02 15:04:05 MST", s)
	if err != nil {
		return time.Time{}
	}
	return t
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
	for _, c := range changes {
		if c.Verb == step.Enable && c.Object == name {
			// systemd reads all units again at its end, which takes an old
			// CPU a second: once will do.
			return systemctl(ctx, h, "enable", name)
		}
	}
	if Named(changes, Reload) {
		return systemctl(ctx, h, "daemon-reload")
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
