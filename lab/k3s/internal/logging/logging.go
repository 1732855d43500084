// Package logging keeps the promise that the server's own messages look like
// k3s's, for whoever reads them out of the journal.
package logging

import (
	"io"
	"log/slog"
	"os"
	"time"
)

// Fatal is the level of the last message before the program gives up.
const Fatal = slog.Level(12)

// New writes messages in logfmt, with k3s's names for the levels.
func New(w io.Writer, debug bool) *slog.Logger {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: rename}))
}

func rename(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		return slog.String("time", a.Value.Time().UTC().Format(time.RFC3339))
	case slog.LevelKey:
		level, ok := a.Value.Any().(slog.Level)
		if !ok {
			return a
		}
		return slog.String("level", name(level))
	}
	return a
}

func name(l slog.Level) string {
	switch {
	case l >= Fatal:
		return "fatal"
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// Redirect sends standard output and error to a file, where Kubernetes' own
// logging follows: it writes to them wherever it runs.
func Redirect(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	os.Stdout, os.Stderr = f, f
	return nil
}
