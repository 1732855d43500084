package release

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Manifests renders what an install would make, without its tests, as YAML
// texts in a fixed order. deployed is the tag that the cluster runs now, if the
// owner does not say one.
func (w Want) Manifests(book secrets.Book, deployed string) ([]string, error) {
	p, err := w.prepare(book, deployed)
	if err != nil {
		return nil, err
	}
	manifests, err := w.render(p)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range manifests {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(m), &object); err != nil {
			return nil, fmt.Errorf("read what the chart rendered: %w", err)
		}
		if object["kind"] != nil && !isHook(object) {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out, nil
}

// LastWords collects what a pod that does not work said last: why its
// containers ended, the end of their logs, and its events.
func (d Deployer) LastWords(ctx context.Context, pod string) string { return d.lastWords(ctx, pod) }
