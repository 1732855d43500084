package k3s

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

type probe = func(context.Context) (wait.State, error)

// newsOnly lets a state count as a change only the first time that it is seen.
// On slow hardware a restart is no failure, but it is no progress either: what
// goes round in circles must stall like what stands still.
func newsOnly(p probe) probe {
	known := map[string]bool{}
	last := ""
	return func(ctx context.Context) (wait.State, error) {
		s, err := p(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			s.Seen = "the box is too busy to answer"
		case err != nil:
			s.Seen = err.Error()
		}
		if key := skeleton(s.Seen); !known[key] || s.Done {
			known[key] = true
			last = s.Seen
		}
		s.Seen = last
		return s, nil
	}
}

// skeleton leaves out the words with a digit in them, so that times, counters
// and identifiers do not make an old message look new.
func skeleton(text string) string {
	words := slices.DeleteFunc(strings.Fields(text), func(w string) bool { return strings.ContainsAny(w, "0123456789") })
	return strings.Join(words, " ")
}
