// Package fault is the catalogue of what can go wrong.
//
// It keeps the promise that an error ends with what to do next: every failure
// that reaches the user carries a stable code, the evidence from the box and
// the next command, and maps to one documented exit status.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Exit is a process exit status; the values are documented and never reused.
type Exit int

// The exit statuses of ssg-bootstrap.
const (
	ExitDone        Exit = 0
	ExitFailed      Exit = 1
	ExitUsage       Exit = 2
	ExitChanges     Exit = 3
	ExitUnreachable Exit = 4
	ExitPreflight   Exit = 5
	ExitInterrupted Exit = 130
)

// ExitMeaning is an exit status with what it says.
type ExitMeaning struct {
	Exit  Exit
	Means string
}

// Exits lists all exit statuses.
func Exits() []ExitMeaning {
	return []ExitMeaning{
		{ExitDone, "done"},
		{ExitFailed, "failed"},
		{ExitUsage, "usage or configuration"},
		{ExitChanges, "plan --exit-code found changes, or bench --gate a regression"},
		{ExitUnreachable, "the host cannot be reached or refuses us"},
		{ExitPreflight, "preflight refused"},
		{ExitInterrupted, "interrupted"},
	}
}

// Code names one kind of failure. Codes are stable: scripts may match on them.
type Code string

// Error is a failure as the user sees it. Op and Err say what failed, Evidence
// is what the box or the network said (already free of secrets), Next is the
// one command or action that gets the user further.
type Error struct {
	Code     Code
	Op       string
	Err      error
	Evidence string
	Next     string
}

// Error returns the short message: the operation and its cause, without
// evidence and without the next command, which the edge prints on lines of
// their own.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Op
	case e.Op == "":
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns a failure of the given kind. The next command may be left empty
// only where the catalogue entry has one that always fits.
func New(code Code, next, format string, args ...any) *Error {
	return &Error{Code: code, Next: next, Err: fmt.Errorf(format, args...)}
}

// CodeOf returns the code of the outermost *Error in err's chain, or
// Unclassified.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	return Unclassified
}

// NextOf returns the next command of the outermost *Error in err's chain that
// has one, else the catalogue's, else "".
func NextOf(err error) string {
	for e := err; e != nil; {
		var f *Error
		if !errors.As(e, &f) {
			break
		}
		if f.Next != "" {
			return f.Next
		}
		e = f.Err
	}
	return catalogue()[CodeOf(err)].Next
}

// EvidenceOf returns the first evidence found in err's chain, or "".
func EvidenceOf(err error) string {
	for e := err; e != nil; {
		var f *Error
		if !errors.As(e, &f) {
			return ""
		}
		if f.Evidence != "" {
			return f.Evidence
		}
		e = f.Err
	}
	return ""
}

// ExitOf maps an error to the exit status that the documents promise.
func ExitOf(err error) Exit {
	if err == nil {
		return ExitDone
	}
	if errors.Is(err, context.Canceled) {
		return ExitInterrupted
	}
	return catalogue()[CodeOf(err)].Exit
}
