package step

import "time"

// Kind says what an Event tells. The names are part of the JSON output and
// stay.
type Kind string

// The kinds of events.
const (
	RunStarted    Kind = "run-started"
	StepStarted   Kind = "step-started"
	StepNote      Kind = "note"
	StepProgress  Kind = "progress"
	StepRetry     Kind = "retry"
	StepDone      Kind = "step-done"
	StepUnchanged Kind = "step-unchanged"
	StepFailed    Kind = "step-failed"
	RunDone       Kind = "run-done"
	RunFailed     Kind = "run-failed"
)

// KindMeaning is a kind with what it tells.
type KindMeaning struct {
	Kind  Kind
	Means string
}

// Kinds lists all kinds.
func Kinds() []KindMeaning {
	return []KindMeaning{
		{RunStarted, "a run that changes something begins"},
		{StepStarted, "something begins; `lastSeconds` is how long it took last time"},
		{StepNote, "what is going on, or what is waited for"},
		{StepProgress, "how far a transfer is"},
		{StepRetry, "something did not work and is tried again"},
		{StepDone, "it was done, in `tookSeconds`"},
		{StepUnchanged, "a step that had nothing to change"},
		{StepFailed, "it failed; `error` says how"},
		{RunDone, "the run ended, and all is as it should be"},
		{RunFailed, "the run ended with an error"},
	}
}

// Event is one thing that happened in a run. The same events feed the live
// view, the plain lines and the JSON lines.
type Event struct {
	Time    time.Time     `json:"time"`
	Kind    Kind          `json:"kind"`
	Step    ID            `json:"step,omitempty"`
	Title   string        `json:"title,omitempty"`
	Text    string        `json:"text,omitempty"`
	Changes []Change      `json:"changes,omitempty"`
	Done    int64         `json:"done,omitempty"`
	Total   int64         `json:"total,omitempty"`
	Took    time.Duration `json:"took,omitempty"`
	// Last is, where something begins, how long it took last time; 0 if unknown.
	Last  time.Duration `json:"last,omitempty"`
	Error string        `json:"error,omitempty"`
}

// Observer is told of every event, one at a time; it must not block for long.
type Observer func(Event)
