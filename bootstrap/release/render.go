package release

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Images returns the images that the release's pods run, each once. deployed
// is the tag that the cluster runs now, if the owner does not say one.
func (w Want) Images(deployed string) ([]string, error) {
	p, err := w.prepare(secrets.Book{}, deployed)
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
		out = append(out, imagesIn(object)...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// AskImages is the query whose answer ImagesOnBox needs. It is one that the
// steps ask as well, so it costs a plan nothing.
func (w Want) AskImages() host.Command { return askBox(w.Namespace, w.Name) }

// ImagesOnBox returns the images of the release as it should be on the box that
// gave the answer. Where the owner does not say which of the application's
// images that is, it is the one that runs there: a pipeline may have deployed
// another since.
func (w Want) ImagesOnBox(answer []byte) ([]string, error) {
	seen, err := readBox(answer, w.Namespace, w.Name)
	if err != nil && !errors.Is(err, k3s.ErrNoAnswer) {
		return nil, err
	}
	return w.Images(seen.Revision.Tag)
}

// render renders the chart without a cluster.
func (w Want) render(p prepared) ([]string, error) {
	options := chartutil.ReleaseOptions{Name: w.Name, Namespace: w.Namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(p.chart, p.values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, fmt.Errorf("put the chart's values together: %w", err)
	}
	files, err := engine.Render(p.chart, values)
	if err != nil {
		return nil, &fault.Error{Code: fault.ConfigInvalid, Op: "render the chart", Err: err, Next: "correct the values that it names"}
	}
	var out []string
	for name, text := range files {
		if strings.HasSuffix(name, ".yaml") {
			for _, m := range releaseutil.SplitManifests(text) {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// imagesIn finds the images of containers, wherever in an object pods are
// described. Tests are left out: they are asked for, and then pulled.
func imagesIn(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		if isHook(v) {
			return nil
		}
		for _, key := range []string{"initContainers", "containers"} {
			list, _ := v[key].([]any)
			for _, c := range list {
				container, _ := c.(map[string]any)
				if image, ok := container["image"].(string); ok {
					out = append(out, image)
				}
			}
		}
		for _, sub := range v {
			out = append(out, imagesIn(sub)...)
		}
	case []any:
		for _, sub := range v {
			out = append(out, imagesIn(sub)...)
		}
	}
	return out
}

func isHook(object map[string]any) bool {
	meta, _ := object["metadata"].(map[string]any)
	notes, _ := meta["annotations"].(map[string]any)
	return notes["helm.sh/hook"] != nil
}
