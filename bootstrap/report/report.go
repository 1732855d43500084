// Package report tells the user what is going on.
//
// It keeps the promise that the same events feed three equal views: a live one
// on a terminal, plain lines that a screen reader or a CI log can follow, and
// JSON lines for programs. The answer goes to standard output and everything
// else to standard error, nothing is said by colour alone, and whatever takes
// longer than two seconds shows that it moves and how long it may still take.
package report

import (
	"fmt"
	"io"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// Mode chooses a view.
type Mode string

// The modes. Auto is live on a terminal and plain elsewhere.
const (
	Auto  Mode = "auto"
	Plain Mode = "plain"
	JSON  Mode = "json"
)

// ParseMode checks the value of the flag -o.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, Plain, JSON:
		return m, nil
	}
	return "", fmt.Errorf("output %q is none of auto, plain, json", s)
}

// Expectation is what is known of a step before it runs.
type Expectation struct {
	// Last is how long the step took when it last changed something here; 0
	// if unknown.
	Last time.Duration
	// Planned is what the plan estimates, Bytes what it sends.
	Planned time.Duration
	Bytes   int64
}

// Reporter shows the events of a run. It is safe for concurrent use.
type Reporter interface {
	// Event is a step.Observer.
	Event(e step.Event)
	// Expect says which steps are to come; the times left are made from it.
	Expect(steps map[step.ID]Expectation)
	// Hold takes the view off the terminal while ask talks to the user.
	Hold(ask func() error) error
	// Close takes the view off for good. It may be called more than once.
	Close()
}

// Options describe where a Reporter writes.
type Options struct {
	// Err is where progress goes.
	Err io.Writer
	// Live says that Err is a terminal that can move its cursor; Width is
	// asked for its columns.
	Live  bool
	Width func() int
	Color bool
	Now   func() time.Time
}

// New returns the Reporter for a mode.
func New(m Mode, o Options) Reporter {
	switch {
	case m == JSON:
		return newJSONLines(o.Err)
	case m == Auto && o.Live:
		return newLive(o)
	}
	return newPlain(o)
}

// Task reports work that is not a step of the plan, such as connecting, with
// the events of a step. The returned function ends it.
func Task(see step.Observer, now func() time.Time, id step.ID, title string) (note func(string), end func(error)) {
	start := now()
	see(step.Event{Time: start, Kind: step.StepStarted, Step: id, Title: title})
	note = func(text string) {
		see(step.Event{Time: now(), Kind: step.StepNote, Step: id, Title: title, Text: text})
	}
	end = func(err error) {
		e := step.Event{Time: now(), Kind: step.StepDone, Step: id, Title: title, Took: now().Sub(start)}
		if err != nil {
			e.Kind, e.Error = step.StepFailed, err.Error()
		}
		see(e)
	}
	return note, end
}

// News reports something that belongs to no step, such as a lost connection.
func News(see step.Observer, now func() time.Time, text string) {
	see(step.Event{Time: now(), Kind: step.StepNote, Text: text})
}
