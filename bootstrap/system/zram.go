package system

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

//go:embed zram.sh
var zramProgram string

// zram is swap in compressed RAM, by a unit of our own: it needs no package,
// and the box may have no way to fetch one.
type zram struct {
	files []managed.File
	// started is what the unit leaves in /run when it runs as it should.
	started string
}

const (
	zramUnit = "ssg-bootstrap-zram.service"
	zramPath = "/usr/local/lib/ssg-bootstrap/zram"
)

func newZram(want profiles.Zram, memory int64) zram {
	// Kernels report a few pages more or less; the size must not follow them.
	const grain = 64 << 20
	size := memory * int64(want.Percent) / 100 / grain * grain
	started := fmt.Sprintf("%d %s %d", size, want.Algorithm, want.Priority)
	// Not after local-fs.target: Debian mounts /tmp before that and after all
	// swap, and systemd would leave /tmp out to get round the circle.
	unit := header + `[Unit]
Description=Swap in compressed RAM
DefaultDependencies=no
RequiresMountsFor=/usr/local/lib/ssg-bootstrap
After=systemd-modules-load.service systemd-remount-fs.service
Before=swap.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=` + zramPath + ` start ` + started + `
ExecStop=` + zramPath + ` stop

[Install]
WantedBy=swap.target
`
	return zram{started: started, files: []managed.File{
		{Path: zramPath, Mode: 0o755, Content: []byte(zramProgram)},
		{Path: "/etc/systemd/system/" + zramUnit, Mode: 0o644, Content: []byte(unit)},
	}}
}

type zramState struct {
	files managed.State
	unit  managed.Unit
	// started is what the unit was started with, swap whether zram swap is on.
	started string
	swap    bool
}

const zramScript = `while read -r name rest; do
	case $name in */zram*) echo "swap=yes" ;; esac
done </proc/swaps
[ -r /run/ssg-bootstrap/zram ] && read -r id started </run/ssg-bootstrap/zram && echo "started=$started"
`

func (z zram) ID() step.ID      { return ZramID }
func (z zram) Title() string    { return "Swap in compressed RAM" }
func (z zram) Needs() []step.ID { return nil }
func (z zram) Lane() step.Lane  { return step.LaneBox }

func (z zram) Observe(ctx context.Context, r host.Reader) (zramState, error) {
	o, err := managed.Observe(ctx, r, managed.Look{Files: z.files, Units: []string{zramUnit}, Script: zramScript})
	if err != nil {
		return zramState{}, err
	}
	m := managed.Pairs(o.Out)
	return zramState{o.Files, o.Units[zramUnit], m["started"], m["swap"] == "yes"}, nil
}

func (z zram) Diff(s zramState) ([]step.Change, error) {
	out := managed.Diff(z.files, s.files)
	if s.swap && s.started == "" && len(out) == len(z.files) {
		// Somebody else's zram serves as well; two would share the same RAM.
		return nil, nil
	}
	out = append(out, managed.DiffUnit(zramUnit, s.unit, managed.Named(out, z.files[1].Path))...)
	switch {
	case !s.unit.Active || !s.swap:
		out = append(out, step.Change{Verb: step.Start, Object: zramUnit, Why: "not running"})
	case s.started != z.started:
		out = append(out, step.Change{Verb: step.Restart, Object: zramUnit, Why: s.started + " → " + z.started})
	}
	return out, nil
}

func (z zram) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if err := managed.Apply(ctx, r.Host, z.files, changes); err != nil {
		return err
	}
	if err := managed.ApplyUnit(ctx, r.Host, zramUnit, changes); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Object != zramUnit || c.Verb == step.Enable {
			continue
		}
		// A restart also where it is to start: the unit may be active without
		// its swap.
		if err := run(ctx, r.Host, "systemctl", "restart", zramUnit); err != nil {
			return fmt.Errorf("start %s: %w", strings.TrimSuffix(zramUnit, ".service"), err)
		}
	}
	return nil
}
