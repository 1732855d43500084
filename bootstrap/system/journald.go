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
	files, out, err := managed.Observe(ctx, r, j.files, managed.UnitScript(journaldUnit, "ActiveEnterTimestamp"))
	if err != nil {
		return journaldState{}, err
	}
	return journaldState{files, older(pairs(out)["ActiveEnterTimestamp"], files[journaldPath])}, nil
}

// older reports whether the service was started before the file was written,
// as when a run died in between. started is as in
// "Sun 2026-11-22 21:26:43 UTC".
func older(started string, file managed.Seen) bool {
	t, err := time.Parse("Mon 2006-01-02 15:04:05 MST", started)
	return err == nil && file.Present && file.Modified > t.Unix()
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
