package system

import (
	"context"
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// journald caps the journal, which is on the same disk as the datastore.
type journald struct{ files []managed.File }

const (
	journaldPath = "/etc/systemd/journald.conf.d/90-ssg-bootstrap.conf"
	journaldUnit = "systemd-journald.service"
)

func newJournald(want map[string]string) journald {
	return journald{[]managed.File{{
		Path: journaldPath, Mode: 0o644, Content: []byte(header + "[Journal]\n" + settings(want, "=")),
	}}}
}

type journaldState struct {
	files managed.State
	// stale says that the journal was started before the file was written.
	stale bool
}

func (j journald) ID() step.ID      { return JournaldID }
func (j journald) Title() string    { return "Journal" }
func (j journald) Needs() []step.ID { return []step.ID{ClockID} }
func (j journald) Lane() step.Lane  { return step.LaneBox }

func (j journald) Observe(ctx context.Context, r host.Reader) (journaldState, error) {
	o, err := managed.Observe(ctx, r, managed.Look{Files: j.files, Units: []string{journaldUnit}})
	if err != nil {
		return journaldState{}, err
	}
	return journaldState{o.Files, older(o.Units[journaldUnit].Entered, o.Files[journaldPath])}, nil
}

// older reports whether the service was started before the file was written,
// as when a run died in between.
func older(started time.Time, file managed.Seen) bool {
	return !started.IsZero() && file.Present && file.Modified > started.Unix()
}

func (j journald) Diff(s journaldState) ([]step.Change, error) {
	out := managed.Diff(j.files, s.files)
	if len(out) > 0 || s.stale {
		out = append(out, step.Change{Verb: step.Restart, Object: journaldUnit, Why: "its limits changed", Restarts: "systemd-journald"})
	}
	return out, nil
}

func (j journald) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	if err := managed.Apply(ctx, r.Host, j.files, changes); err != nil {
		return err
	}
	if !managed.Named(changes, journaldUnit) {
		return nil
	}
	if err := run(ctx, r.Host, "systemctl", "restart", journaldUnit); err != nil {
		return fmt.Errorf("restart the journal: %w", err)
	}
	return nil
}
