package bench

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
)

// mark notes on the box that a scratch namespace of the holder's is there,
// where facts.Gather looks, or takes the note away.
func mark(ctx context.Context, h host.Host, holder string, there bool) error {
	if there {
		err := h.Put(ctx, host.File{Path: facts.BenchMark, Mode: 0o644, Content: []byte(holder + "\n")})
		if err != nil {
			return fmt.Errorf("note that boots are measured: %w", err)
		}
		return nil
	}
	return Unmark(ctx, h)
}

// Unmark takes away the note that a scratch namespace is there.
func Unmark(ctx context.Context, h host.Host) error {
	if _, err := h.Run(ctx, host.Command{Argv: []string{"rm", "-f", facts.BenchMark}, Root: true}); err != nil {
		return fmt.Errorf("note that nothing of bench is left: %w", err)
	}
	return nil
}

// LeftOn asks the box itself whether a scratch namespace of ours is there, in
// one round trip and without changing anything; nil means that there is none.
// It fails with k3s.ErrNoAnswer where the API does not say.
func LeftOn(ctx context.Context, r host.Reader) (*Leftover, error) {
	answers, err := k3s.Get(ctx, r, "/api/v1/namespaces/"+Namespace)
	if err != nil || answers[0] == nil {
		return nil, err
	}
	var ns struct {
		Metadata struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(answers[0], &ns); err != nil {
		return nil, fmt.Errorf("read the scratch namespace: %w", err)
	}
	if ns.Metadata.Labels[scratchLabel] != scratchValue {
		return nil, nil
	}
	return leftover(ns.Metadata.Annotations)
}

// leftover reads what a run noted about itself.
func leftover(notes map[string]string) (*Leftover, error) {
	l := &Leftover{Holder: notes[holderAnnotation]}
	if text := notes[stoppedAnnotation]; text != "" {
		l.Stopped = &Stopped{}
		if err := json.Unmarshal([]byte(text), l.Stopped); err != nil {
			return nil, fmt.Errorf("read what was stopped: %w", err)
		}
	}
	return l, nil
}
