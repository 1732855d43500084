package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
)

// LeftOn asks the box itself whether a scratch namespace of ours is there, in
// one round trip and without changing anything. An API that does not answer
// says nothing.
func LeftOn(ctx context.Context, r host.Reader) (*Leftover, error) {
	answers, err := k3s.Get(ctx, r, "/api/v1/namespaces/"+Namespace)
	if errors.Is(err, k3s.ErrNoAnswer) {
		return nil, nil
	}
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
