package system

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// clock sets the box's clock from this computer where no time service has set
// it: certificates that are not valid yet make a first start fail in ways that
// nobody connects with the clock.
type clock struct{}

type clockState struct {
	clock facts.Clock
	// enabled says that a time service will start at boot.
	enabled bool
	// available says that timesyncd is installed and not masked.
	available bool
}

// tolerance is more than what a slow link makes uncertain about the clock, and
// far less than what certificates notice.
const tolerance = 5 * time.Second

const clockScript = `echo "now=$(date +%s)"
[ -e /run/systemd/timesync/synchronized ] && echo "synchronized=yes"
`

func (clock) ID() step.ID      { return ClockID }
func (clock) Title() string    { return "Clock" }
func (clock) Needs() []step.ID { return nil }
func (clock) Lane() step.Lane  { return step.LaneBox }

func (clock) Observe(ctx context.Context, r host.Reader) (clockState, error) {
	services := []string{syncObject, "chrony.service", "ntp.service", "ntpsec.service", "openntpd.service"}
	before := time.Now()
	o, err := managed.Observe(ctx, r, managed.Look{Units: services, Script: clockScript})
	if err != nil {
		return clockState{}, err
	}
	return newClockState(o, services, before, time.Now())
}

func newClockState(o managed.Observed, services []string, before, after time.Time) (clockState, error) {
	m := managed.Pairs(o.Out)
	now, err := strconv.ParseInt(m["now"], 10, 40)
	if err != nil {
		return clockState{}, fmt.Errorf("read the box's time: %w", err)
	}
	var s clockState
	// The box read its clock, in whole seconds, some time in between.
	most, least := time.Unix(now+1, 0).Sub(before), time.Unix(now, 0).Sub(after)
	s.clock.Skew, s.clock.Uncertainty = least+(most-least)/2, (most-least)/2
	s.clock.Synchronized = m["synchronized"] == "yes"
	for _, name := range services {
		u := o.Units[name]
		if u.Active {
			s.clock.Service = strings.TrimSuffix(name, ".service")
		}
		s.enabled = s.enabled || u.Enabled
	}
	s.available = o.Units[syncObject].Loaded
	return s, nil
}

const (
	clockObject = "clock"
	syncObject  = "systemd-timesyncd.service"
)

func (clock) Diff(s clockState) ([]step.Change, error) {
	var out []step.Change
	if s.clock.Wrong(tolerance) && !s.clock.Synchronized {
		out = append(out, step.Change{Verb: step.Update, Object: clockObject,
			Why: fmt.Sprintf("off by %s, and no time service has set it", s.clock.Skew.Round(time.Second))})
	}
	if !s.enabled && s.clock.Service == "" && s.available {
		out = append(out, step.Change{Verb: step.Enable, Object: syncObject, Why: "no time service runs"})
	}
	return out, nil
}

func (clock) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	for _, c := range changes {
		var err error
		switch c.Object {
		case clockObject:
			err = run(ctx, r.Host, "date", "-u", "-s", "@"+strconv.FormatInt(time.Now().Unix(), 10))
		case syncObject:
			err = run(ctx, r.Host, "systemctl", "enable", "--now", syncObject)
		}
		if err != nil {
			return fmt.Errorf("set clock: %w", err)
		}
	}
	return nil
}
