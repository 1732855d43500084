// Package secrets holds what must not be seen.
//
// It keeps the promise that a secret never reaches a log, a plan or an error
// text: a Value prints as a placeholder however it is formatted, and only
// Reveal gives the bytes.
package secrets

import "log/slog"

const placeholder = "[secret]"

// Value is one secret. The zero Value is an absent secret.
type Value struct{ text string }

// NewValue wraps a secret.
func NewValue(text string) Value { return Value{text: text} }

// Reveal returns the secret itself. Callers pass it to stdin or a 0600 file
// and nowhere else.
func (v Value) Reveal() string { return v.text }

// Empty reports whether there is no secret.
func (v Value) Empty() bool { return v.text == "" }

// String returns a placeholder.
func (v Value) String() string { return placeholder }

// GoString returns a placeholder, for %#v.
func (v Value) GoString() string { return placeholder }

// LogValue returns a placeholder, for log/slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText returns a placeholder, so that no encoder leaks the secret.
func (v Value) MarshalText() ([]byte, error) { return []byte(placeholder), nil }
