package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

// onlineStall is longer than the four minutes for which a runner tries to get
// at the session that an earlier one of its name has left behind.
const onlineStall = 6 * time.Minute

// wait follows the runner until GitHub sees it in the version that was
// installed, or a later one: it may update itself at once.
func (s service) wait(ctx context.Context, r step.Run, l local) error {
	if !s.in.GitHub.HasToken() {
		return nil
	}
	f := &follow{service: s, host: r.Host, unit: l.service, version: l.version}
	err := wait.Until(ctx, wait.Condition{
		What: "the runner " + s.in.Want.Name + " to be online", Every: s.in.Every, Box: time.Minute, Stall: onlineStall,
		Next: "read `journalctl -u " + l.service + "` on the box, then run the same command again",
		Seen: func(st wait.State, _ time.Duration) { r.Note(st.Seen) },
	}, f.look)
	if f.fatal == nil && err == nil {
		return nil
	}
	return s.explain(ctx, r.Host, l.service, errors.Join(f.fatal, err))
}

type follow struct {
	service service
	host    host.Reader
	unit    string
	version string
	fatal   error
}

const followScript = `systemctl show -p ActiveState,SubState "$1"
printf 'line=%s\n' "$(journalctl -q -n 1 -o cat -u "$1")"
`

func (f *follow) look(ctx context.Context) (wait.State, error) {
	known, err := f.service.in.GitHub.Runner(ctx, f.service.in.Want.Name)
	if err != nil && fault.CodeOf(err) == fault.GitHubRefused {
		f.fatal = err
		return wait.State{Done: true, Seen: err.Error()}, nil
	}
	if err != nil {
		return wait.State{}, err
	}
	if known != nil && known.Online() && (known.Version == "" || compareVersions(known.Version, f.version) >= 0) {
		return wait.State{Done: true, Seen: "GitHub sees it online"}, nil
	}
	out, err := f.host.Query(ctx, host.Command{Argv: []string{"sh", "-c", followScript, "sh", f.unit}, Root: true})
	if err != nil {
		return wait.State{}, err
	}
	p := managed.Pairs(out)
	if line := strings.ToLower(p["line"]); strings.Contains(line, "deprecated") || strings.Contains(line, "no longer supported") {
		f.fatal = fault.New(fault.RunnerRefused, "run the same command again: it takes the version that GitHub offers then", "GitHub refuses the runner %s", f.version)
		return wait.State{Done: true, Seen: p["line"]}, nil
	}
	state := "GitHub does not know it yet"
	if known != nil {
		state = "GitHub says " + known.Status
		if known.Online() {
			state += " with version " + known.Version
		}
	}
	text := fmt.Sprintf("%s; its unit is %s", state, p["ActiveState"])
	if line := []rune(p["line"]); len(line) > 0 {
		text += ": " + string(line[:min(len(line), 100)])
	}
	return wait.State{Seen: text}, nil
}

// explain adds the end of the unit's journal.
func (s service) explain(ctx context.Context, r host.Reader, unit string, err error) error {
	code := fault.CodeOf(err)
	if code != fault.WaitStalled && code != fault.RunnerRefused {
		return err
	}
	evidence := fault.EvidenceOf(err)
	argv := []string{"journalctl", "-q", "-n", "15", "-o", "cat", "-u", unit}
	if out, jerr := r.Query(ctx, host.Command{Argv: argv, Root: true}); jerr == nil {
		evidence = strings.TrimSpace(evidence + "\n" + tail(string(out), "", 15))
	}
	return &fault.Error{Code: code, Err: err, Evidence: evidence, Next: fault.NextOf(err)}
}
