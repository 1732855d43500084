package report

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// Line is one line of the event stream that -o json writes to standard error.
// Fields may be added; none is renamed or removed.
type Line struct {
	Time        time.Time `json:"time" means:"when, RFC 3339"`
	Kind        step.Kind `json:"kind" means:"what is told; see below"`
	Step        step.ID   `json:"step,omitempty" means:"which step. Besides the plan's there are connect, facts, plan, link, disk, rotate and the like for what surrounds them; a note without a step is about the connection"`
	Title       string    `json:"title,omitempty" means:"the step in words"`
	Text        string    `json:"text,omitempty" means:"of a note or retry"`
	Changes     []Change  `json:"changes,omitempty" means:"what a step changed"`
	Done        int64     `json:"done,omitempty" means:"bytes so far, of a progress"`
	Total       int64     `json:"total,omitempty" means:"bytes in all"`
	TookSeconds float64   `json:"tookSeconds,omitempty" means:"of what is done, unchanged or failed"`
	LastSeconds float64   `json:"lastSeconds,omitempty" means:"of what begins: how long it took last time"`
	Error       string    `json:"error,omitempty" means:"of what failed"`
}

// Change is a step.Change as programs get it.
type Change struct {
	Verb        step.Verb `json:"verb" means:"what is done"`
	Object      string    `json:"object" means:"to what"`
	Why         string    `json:"why,omitempty" means:"for which reason"`
	Diff        string    `json:"diff,omitempty" means:"of a file: what differs, as diff -u tells it"`
	Bytes       int64     `json:"bytes,omitempty" means:"what it sends"`
	Restarts    string    `json:"restarts,omitempty" means:"the unit that it restarts"`
	WorkSeconds float64   `json:"workSeconds,omitempty" means:"what it is expected to take on the box, without the transfer"`
	Foreign     bool      `json:"foreign,omitempty" means:"somebody else configured this; it is changed only with --adopt"`
}

// Changes converts a step's changes.
func Changes(in []step.Change) []Change {
	var out []Change
	for _, c := range in {
		out = append(out, Change{
			Verb: c.Verb, Object: c.Object, Why: c.Why, Diff: c.Diff, Bytes: c.Bytes,
			Restarts: c.Restarts, WorkSeconds: c.Work.Seconds(), Foreign: c.Foreign,
		})
	}
	return out
}

// Result is the one object that -o json writes to standard output, also when
// the command failed.
type Result struct {
	Kind    string     `json:"kind" means:"always result"`
	Command string     `json:"command" means:"plan, install, …"`
	Exit    fault.Exit `json:"exit" means:"the exit status, see below"`
	Data    any        `json:"data,omitempty" means:"what the command found or did; absent when it got nowhere"`
	Error   *Failure   `json:"error,omitempty" means:"absent when all went well"`
}

// Failure is an error as programs get it.
type Failure struct {
	Code     fault.Code `json:"code" means:"one of the error codes below"`
	Message  string     `json:"message" means:"what failed"`
	Evidence string     `json:"evidence,omitempty" means:"what the box or the network said"`
	Next     string     `json:"next,omitempty" means:"what to do"`
}

// NewResult returns the result of a command.
func NewResult(command string, data any, err error) Result {
	r := Result{Kind: "result", Command: command, Exit: fault.ExitOf(err), Data: data}
	if err != nil {
		r.Error = &Failure{Code: fault.CodeOf(err), Message: err.Error(), Evidence: Evidence(err), Next: fault.NextOf(err)}
	}
	return r
}

// Write prints the result as one line.
func (r Result) Write(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

type jsonLines struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newJSONLines(w io.Writer) *jsonLines { return &jsonLines{enc: json.NewEncoder(w)} }

func (j *jsonLines) Event(e step.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.enc.Encode(Line{
		Time: e.Time, Kind: e.Kind, Step: e.Step, Title: e.Title, Text: e.Text, Changes: Changes(e.Changes),
		Done: e.Done, Total: e.Total, TookSeconds: e.Took.Seconds(), LastSeconds: e.Last.Seconds(), Error: e.Error,
	})
}

func (j *jsonLines) Expect(map[step.ID]Expectation) {}
func (j *jsonLines) Hold(ask func() error) error    { return ask() }
func (j *jsonLines) Close()                         {}
