package k3s

import (
	"context"
	"fmt"
	"net/http"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// ErrNoAnswer says that the API server did not answer all that was asked.
var ErrNoAnswer = fmt.Errorf("the API server does not answer")

// Get reads paths of the API with the box's own admin certificate, in the same
// round trip as the other queries of a plan. What is not there is nil.
func Get(ctx context.Context, r host.Reader, paths ...string) ([][]byte, error) {
	out, err := r.Query(ctx, Ask(paths...))
	if err != nil {
		return nil, fmt.Errorf("ask the API server: %w", err)
	}
	return Answers(out, paths...)
}

// Answers finds the paths in what Ask brought. What is not there is nil.
func Answers(out []byte, paths ...string) ([][]byte, error) {
	got := parseAnswers(out)
	bodies := make([][]byte, len(paths))
	for i, path := range paths {
		a, answered := got[path]
		switch {
		case !answered:
			return nil, ErrNoAnswer
		case a.Status == http.StatusOK:
			bodies[i] = a.Body
		case a.Status != http.StatusNotFound:
			return nil, fmt.Errorf("%w: %d for %s", ErrNoAnswer, a.Status, path)
		}
	}
	return bodies, nil
}
