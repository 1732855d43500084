package tailnet

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

//go:embed tailscaled.service
var unitText string

// The unit reads this file and does not start without it.
const defaultsText = managed.Marker + `
# The port for packets from other nodes.
PORT="41641"
# Further flags for tailscaled.
FLAGS=""
`

// service is the running tailscaled: it has loaded what lies on the disk.
type service struct {
	release *release
	limits  profiles.Tailnet
}

type serviceState struct {
	files managed.State
	unit  managed.Unit
	want  string
	// onDisk is what tailscaled would load now, running what it has loaded.
	onDisk, running string
}

func (s service) files() []managed.File {
	return []managed.File{
		{Path: unitPath, Mode: 0o644, Content: []byte(unitText)},
		{Path: defaultsPath, Mode: 0o644, Content: []byte(defaultsText)},
		{Path: limitsPath, Mode: 0o644, Content: []byte(s.limitsText()), Ours: true},
	}
}

// limitsText is a drop-in, so that a later package keeps the limits.
func (s service) limitsText() string {
	var b strings.Builder
	b.WriteString(managed.Marker + "\n[Service]\n")
	if s.limits.MemoryHigh > 0 {
		fmt.Fprintf(&b, "MemoryHigh=%d\n", int64(s.limits.MemoryHigh))
	}
	if s.limits.MemoryMax > 0 {
		fmt.Fprintf(&b, "MemoryMax=%d\n", int64(s.limits.MemoryMax))
	}
	if s.limits.GoMemLimit != "" {
		fmt.Fprintf(&b, "Environment=GOMEMLIMIT=%s\n", s.limits.GoMemLimit)
	}
	b.WriteString(`# What this process is about to load, so that nobody has to guess later whether
# it must restart. An old answer is worse than none.
ExecStartPre=-/bin/sh -c 'mkdir -p ` + ourRunDir + ` && rm -f ` + runDigestPath + ` && cp ` + digestPath + ` ` + runDigestPath + `'
`)
	return b.String()
}

// digest tells two ways of starting tailscaled apart.
func (s service) digest(tarball string) string {
	sum := sha256.New()
	for _, f := range s.files() {
		_, _ = io.WriteString(sum, f.Path+"\x00"+string(f.Content)+"\x00")
	}
	_, _ = io.WriteString(sum, tarball)
	return hex.EncodeToString(sum.Sum(nil))
}

func (s service) ID() step.ID      { return ServiceID }
func (s service) Title() string    { return "Tailscale service" }
func (s service) Needs() []step.ID { return []step.ID{BinaryID} }
func (s service) Lane() step.Lane  { return step.LaneBox }

const digestScript = `[ -r ` + digestPath + ` ] && read -r d <` + digestPath + ` && echo "disk=$d"
[ -r ` + runDigestPath + ` ] && read -r d <` + runDigestPath + ` && echo "running=$d"
`

func (s service) Observe(ctx context.Context, r host.Reader) (serviceState, error) {
	tarball, err := s.release.tarball(ctx)
	if err != nil {
		return serviceState{}, err
	}
	o, err := managed.Observe(ctx, r, managed.Look{Files: s.files(), Units: []string{unitName}, Script: digestScript})
	if err != nil {
		return serviceState{}, err
	}
	m := managed.Pairs(o.Out)
	return serviceState{
		files: o.Files, unit: o.Units[unitName], want: s.digest(tarball.SHA256),
		onDisk: m["disk"], running: m["running"],
	}, nil
}

func (s service) Diff(o serviceState) ([]step.Change, error) {
	out := managed.Diff(s.files(), o.files)
	written := managed.Named(out, unitPath) || managed.Named(out, limitsPath)
	out = append(out, managed.DiffUnit(unitName, o.unit, written)...)
	if o.onDisk != o.want {
		out = append(out, step.Change{Verb: step.Update, Object: digestPath, Why: "what tailscaled loads at its next start"})
	}
	switch {
	case !o.unit.Active:
		out = append(out, step.Change{Verb: step.Start, Object: unitName, Why: "not running"})
	case o.running != o.want:
		out = append(out, step.Change{Verb: step.Restart, Object: unitName, Why: "its program or configuration changed", Restarts: "tailscaled"})
	}
	return out, nil
}

func (s service) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if managed.Touches(changes, s.files()) {
		if err := forgetDigest(ctx, r.Host); err != nil {
			return err
		}
	}
	if err := managed.Apply(ctx, r.Host, s.files(), changes); err != nil {
		return err
	}
	if err := managed.ApplyUnit(ctx, r.Host, unitName, changes); err != nil {
		return err
	}
	if managed.Touches(changes, s.files()) || managed.Named(changes, digestPath) {
		tarball, err := s.release.tarball(ctx)
		if err != nil {
			return err
		}
		f := host.File{Path: digestPath, Mode: 0o644, Content: []byte(s.digest(tarball.SHA256) + "\n")}
		if err := r.Host.Put(ctx, f); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if c.Object == unitName && (c.Verb == step.Start || c.Verb == step.Restart) {
			return restart(ctx, r)
		}
	}
	return nil
}

const (
	probeEvery = time.Second
	probeBox   = 30 * time.Second
	// serviceStall is long for a program that is up within a second, because
	// the disk may be busy with something else.
	serviceStall = 2 * time.Minute
)

// restart does not wait in the command itself: whoever is connected over the
// tailnet loses the connection with the old process.
func restart(ctx context.Context, r step.Run) error {
	argv := []string{"systemctl", "--no-block", "restart", unitName}
	if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("restart %s: %w", unitName, err)
	}
	return wait.Until(ctx, wait.Condition{
		What: unitName, Every: probeEvery, Box: probeBox, Stall: serviceStall,
		Next: "read `journalctl -u tailscaled` on the box, then run the same command again",
		Seen: func(s wait.State, _ time.Duration) { r.Note(s.Seen) },
	}, func(ctx context.Context) (wait.State, error) {
		out, err := r.Host.Query(ctx, managed.UnitsQuery(unitName))
		if err != nil {
			return wait.State{}, err
		}
		u := managed.ParseUnits(out)[unitName]
		return wait.State{Done: u.Active, Seen: "tailscaled is " + u.State}, nil
	})
}
