package k3s

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// server is the running k3s: it has loaded what lies on the disk, its API
// answers and its node is Ready.
type server struct {
	release *release
	loaded  loaded
	names   Names
	node    string
	needs   []step.ID
	waits   profiles.Waits
}

type serverState struct {
	want string
	unit managed.Unit
	// onDisk is what k3s would load now, running what it has loaded.
	onDisk, running string
	api             apiState
	// line is the newest line of the journal, asked for only while waiting.
	line string
}

// apiState is what the API server said.
type apiState struct {
	answers bool
	ready   bool
	text    string
	node    bool
	message string
}

func (s server) ID() step.ID      { return ServerID }
func (s server) Title() string    { return "k3s server" }
func (s server) Needs() []step.ID { return s.needs }
func (s server) Lane() step.Lane  { return step.LaneBox }

func (s server) script(journal bool) string {
	script := bootScript + `[ -r ` + digestPath + ` ] && read -r d <` + digestPath + ` && echo "disk=$d"
[ -r ` + runDigestPath + ` ] && read -r d <` + runDigestPath + ` && echo "running=$d"
[ -r ` + podsPidPath + ` ] && read -r d <` + podsPidPath + ` && echo "pods=$d"
`
	if journal {
		script += "printf 'line=%s\\n' \"$(journalctl -q -n 1 -o cat -u " + unitName + ")\"\n"
	}
	return script
}

const readyPath = "/readyz?timeout=10s"

func (s server) nodePath() string { return "/api/v1/nodes/" + s.node }

// query is the same for the server and for its pods, so that a plan asks it
// once: making a TLS connection takes the box longer than all the rest.
func (s server) query(ctx context.Context, r host.Reader, journal bool) (managed.Observed, error) {
	// What the API server says comes first, then what the names are made of.
	beside := append([]host.Command{Ask(readyPath, s.nodePath(), podsPath)}, asked(s.names)...)
	return managed.Observe(ctx, r, managed.Look{Units: []string{unitName}, Script: s.script(journal), Beside: beside})
}

func (s server) Observe(ctx context.Context, r host.Reader) (serverState, error) {
	return s.look(ctx, r, false)
}

func (s server) look(ctx context.Context, r host.Reader, journal bool) (serverState, error) {
	a, err := s.release.file(ctx, binaryFile)
	if err != nil {
		return serverState{}, err
	}
	o, err := s.query(ctx, r, journal)
	if err != nil {
		return serverState{}, err
	}
	l, err := s.loaded.called(s.names, o.Beside[1:])
	if err != nil {
		return serverState{}, err
	}
	want, err := l.digest(a.SHA256)
	if err != nil {
		return serverState{}, err
	}
	return s.parse(o, want), nil
}

func (s server) parse(o managed.Observed, want string) serverState {
	m := managed.Pairs(o.Out)
	return serverState{
		want: want, unit: o.Units[unitName],
		onDisk: m["disk"], running: m["running"], api: s.parseAPI(parseAnswers(o.Beside[0]), m["boot"]), line: string(redact([]byte(m["line"]))),
	}
}

func (s server) parseAPI(got answers, boot string) apiState {
	readyz, answered := got[readyPath]
	if !answered {
		return apiState{}
	}
	state := apiState{answers: true, ready: readyz.Status == http.StatusOK, text: firstFailure(readyz.Body)}
	registered, answered := got[s.nodePath()]
	if !answered {
		return state
	}
	var n node
	if err := registered.into(&n); err != nil {
		state.message = "not registered yet"
		return state
	}
	state.node, state.message = n.ready(boot)
	return state
}

// firstFailure finds in /readyz's list the check that fails, as in
// "[-]poststarthook/rbac/bootstrap-roles failed: reason withheld".
func firstFailure(body []byte) string {
	for line := range strings.Lines(string(body)) {
		if name, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ = strings.Cut(name, " ")
			return name
		}
	}
	return ""
}

const digestObject = digestPath

func (s server) nodeObject() string { return "node " + s.node }

func (s server) Diff(o serverState) ([]step.Change, error) {
	var out []step.Change
	if o.onDisk != o.want {
		out = append(out, step.Change{Verb: step.Update, Object: digestObject, Why: "what k3s loads at its next start"})
	}
	up := o.unit.Active || o.unit.State == "activating" || o.unit.State == "reloading"
	switch {
	case !up:
		out = append(out, step.Change{Verb: step.Start, Object: unitName, Why: "not running"})
	case o.running != o.want:
		out = append(out, step.Change{Verb: step.Restart, Object: unitName, Why: "its program or configuration changed", Restarts: "k3s"})
	case o.api.ready && o.api.node && o.unit.Active:
		return out, nil
	}
	why := "not Ready"
	if o.api.message != "" && !o.api.node {
		why = o.api.message
	}
	typical := s.waits.K3sTypical.Std() + s.waits.NodeTypical.Std()
	return append(out, step.Change{Verb: step.Wait, Object: s.nodeObject(), Why: why, Work: typical}), nil
}

func (s server) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	for _, c := range changes {
		var err error
		switch {
		case c.Object == digestObject:
			err = s.writeDigest(ctx, r.Host)
		case c.Verb == step.Start, c.Verb == step.Restart:
			// The unit counts as started only once k3s serves, which takes
			// minutes; we follow it ourselves.
			err = systemctl(ctx, r.Host, strings.ToLower(string(c.Verb)), "--no-block", unitName)
		case c.Verb == step.Wait:
			err = s.wait(ctx, r)
		}
		if err != nil {
			return err
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

func (s server) writeDigest(ctx context.Context, h host.Host) error {
	o, err := s.look(ctx, h, false)
	if err != nil {
		return err
	}
	return h.Put(ctx, host.File{Path: digestPath, Mode: 0o644, Content: []byte(o.want + "\n")})
}

const (
	probeEvery = 2 * time.Second
	// probeBox is long because on a box that is starting up even a shell
	// takes its time.
	probeBox = 60 * time.Second
)

// stall is how long silence may last where the profile does not say.
func stall(d profiles.Duration) time.Duration {
	if d == 0 {
		return 10 * time.Minute
	}
	return d.Std()
}

func (s server) wait(ctx context.Context, r step.Run) error {
	w := &follow{server: s, host: r.Host}
	err := wait.Until(ctx, wait.Condition{
		What: "k3s's API server", Every: probeEvery, Box: probeBox, Stall: stall(s.waits.K3sStall),
		Next: "read `journalctl -u k3s` on the box, then run the same command again",
		Seen: noted(r.Note, s.waits.K3sTypical.Std()),
	}, newsOnly(w.api))
	if err == nil && w.fatal == nil {
		err = wait.Until(ctx, wait.Condition{
			What: s.nodeObject() + " to be Ready", Every: probeEvery, Box: probeBox, Stall: stall(s.waits.NodeStall),
			Next: "read `journalctl -u k3s` on the box, then run the same command again",
			Seen: noted(r.Note, s.waits.NodeTypical.Std()),
		}, newsOnly(w.ready))
	}
	return serverKind.explain(ctx, r.Host, errors.Join(w.fatal, err))
}

// noted tells the user what was seen and, once, how long it usually takes.
func noted(note func(string), typical time.Duration) func(wait.State, time.Duration) {
	told := typical == 0
	return func(st wait.State, _ time.Duration) {
		text := st.Seen
		if !told && !st.Done {
			told = true
			text += fmt.Sprintf(" (usually takes %s)", profiles.Duration(typical))
		}
		note(text)
	}
}

// follow turns what is seen of a starting k3s into states.
type follow struct {
	server server
	host   host.Reader
	start  time.Time
	first  int
	fatal  error
}

// A k3s that cannot start at all, as with an unknown flag, is over within
// seconds even on this hardware, and 5 s pass before the next try; one that is
// merely slow takes longer than that to fail.
const (
	hopelessRestarts = 5
	hopelessRun      = 30 * time.Second
)

func (f *follow) look(ctx context.Context) (serverState, error) {
	if f.start.IsZero() {
		f.start, f.first = time.Now(), -1
	}
	o, err := f.server.look(ctx, f.host, true)
	if err != nil {
		return o, err
	}
	if f.first < 0 {
		f.first = o.unit.Restarts
	}
	return o, nil
}

func (f *follow) api(ctx context.Context) (wait.State, error) {
	o, err := f.look(ctx)
	if err != nil {
		return wait.State{}, err
	}
	n := o.unit.Restarts - f.first
	if n >= hopelessRestarts && time.Since(f.start) < time.Duration(n)*hopelessRun {
		f.fatal = fault.New(fault.WaitStalled, "mend what its last lines say (often a flag in the profile), then run the same command again",
			"k3s ended %d times within %s", n, time.Since(f.start).Round(time.Second))
		return wait.State{Done: true, Seen: "k3s keeps ending"}, nil
	}
	fresh := o.running == o.want
	switch {
	case fresh && o.api.ready:
		return wait.State{Done: true, Seen: "API server is ready"}, nil
	case o.api.answers && o.api.text != "":
		return wait.State{Seen: "API server answers, not ready: " + o.api.text}, nil
	}
	text := "API server does not answer yet"
	if n > 0 {
		text = "k3s starts again; " + text
	}
	if o.line != "" {
		text += "; k3s: " + short(o.line)
	}
	return wait.State{Seen: text}, nil
}

func (f *follow) ready(ctx context.Context) (wait.State, error) {
	o, err := f.look(ctx)
	switch {
	case err != nil:
		return wait.State{}, err
	case !o.api.answers:
		return wait.State{Seen: "API server is away again"}, nil
	case o.api.node && o.api.ready && o.unit.Active:
		return wait.State{Done: true, Seen: f.server.nodeObject() + " is Ready"}, nil
	case !o.api.ready:
		return wait.State{Seen: "API server is not ready again: " + o.api.text}, nil
	case o.api.node:
		return wait.State{Seen: "node is Ready, k3s.service is " + o.unit.State}, nil
	}
	return wait.State{Seen: f.server.nodeObject() + " is not Ready: " + short(o.api.message)}, nil
}

func short(text string) string {
	const most = 120
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// explain adds the end of k3s's journal to a wait that stalled.
func (k kind) explain(ctx context.Context, r host.Reader, err error) error {
	if err == nil || fault.CodeOf(err) != fault.WaitStalled {
		return err
	}
	evidence := fault.EvidenceOf(err)
	argv := []string{"journalctl", "-q", "-n", "15", "-o", "cat", "-u", k.unit()}
	if out, jerr := r.Query(ctx, host.Command{Argv: argv, Root: true}); jerr == nil {
		evidence = strings.TrimSpace(evidence + "\n" + string(redact(out)))
	}
	return &fault.Error{Code: fault.WaitStalled, Err: err, Evidence: evidence, Next: fault.NextOf(err)}
}
