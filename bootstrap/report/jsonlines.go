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
	Time        time.Time `json:"time"`
	Kind        step.Kind `json:"kind"`
	Step        step.ID   `json:"step,omitempty"`
	Title       string    `json:"title,omitempty"`
	Text        string    `json:"text,omitempty"`
	Changes     []Change  `json:"changes,omitempty"`
	Done        int64     `json:"done,omitempty"`
	Total       int64     `json:"total,omitempty"`
	TookSeconds float64   `json:"tookSeconds,omitempty"`
	Error       string    `json:"error,omitempty"`
}

// Change is a step.Change as programs get it.
type Change struct {
	Verb        step.Verb `json:"verb"`
	Object      string    `json:"object"`
	Why         string    `json:"why,omitempty"`
	Diff        string    `json:"diff,omitempty"`
	Bytes       int64     `json:"bytes,omitempty"`
	Restarts    string    `json:"restarts,omitempty"`
	WorkSeconds float64   `json:"workSeconds,omitempty"`
	Foreign     bool      `json:"foreign,omitempty"`
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
	Kind    string     `json:"kind"`
	Command string     `json:"command"`
	Exit    fault.Exit `json:"exit"`
	Data    any        `json:"data,omitempty"`
	Error   *Failure   `json:"error,omitempty"`
}

// Failure is an error as programs get it.
type Failure struct {
	Code     fault.Code `json:"code"`
	Message  string     `json:"message"`
	Evidence string     `json:"evidence,omitempty"`
	Next     string     `json:"next,omitempty"`
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
		Done: e.Done, Total: e.Total, TookSeconds: e.Took.Seconds(), Error: e.Error,
	})
}

func (j *jsonLines) Expect(map[step.ID]Expectation) {}
func (j *jsonLines) Hold(ask func() error) error    { return ask() }
func (j *jsonLines) Close()                         {}
