package k3s

import (
	"context"
	"fmt"
	"net/http"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
)

// ErrNoAnswer says that the API server did not answer all that was asked.
var ErrNoAnswer = fmt.Errorf("the API server does not answer")

// Get reads paths of the API with the box's own admin certificate, in the same
// round trip as the other queries of a plan. What is not there is nil.
func Get(ctx context.Context, r host.Reader, paths ...string) ([][]byte, error) {
	o, err := managed.Observe(ctx, r, managed.Look{Script: apiScript(paths...)})
	if err != nil {
		return nil, fmt.Errorf("ask the API server: %w", err)
	}
	_, answers := cutAPI(o.Out)
	if len(answers) < len(paths) {
		return nil, ErrNoAnswer
	}
	out := make([][]byte, len(paths))
	for i, a := range answers {
		switch {
		case a.Status == http.StatusOK:
			out[i] = a.Body
		case a.Status != http.StatusNotFound:
			return nil, fmt.Errorf("%w: %d for %s", ErrNoAnswer, a.Status, paths[i])
		}
	}
	return out, nil
}
