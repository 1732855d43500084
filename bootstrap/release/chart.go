package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/ignore"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Values are what the chart is rendered with.
type Values map[string]any

// Layer is one source of values, named for the errors about it.
type Layer struct {
	Source string
	Values Values
}

// loadChart reads a chart from a file system, whose files are the chart's root.
func loadChart(files fs.FS) (*chart.Chart, string, error) {
	var buffered []*loader.BufferedFile
	digest := sha256.New()
	ignored, err := readIgnored(files)
	if err != nil {
		return nil, "", err
	}
	err = fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() && ignored.Ignore(path, info) {
			return fs.SkipDir
		}
		if d.IsDir() || ignored.Ignore(path, info) {
			return nil
		}
		data, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(digest, "%s %d\n%s\n", path, len(data), data)
		buffered = append(buffered, &loader.BufferedFile{Name: path, Data: data})
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("read the chart: %w", err)
	}
	c, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, "", fmt.Errorf("read the chart: %w", err)
	}
	return c, hex.EncodeToString(digest.Sum(nil)), nil
}

// readIgnored reads what Helm would leave out of a chart's folder.
func readIgnored(files fs.FS) (*ignore.Rules, error) {
	f, err := files.Open(ignore.HelmIgnore)
	if errors.Is(err, fs.ErrNotExist) {
		return ignore.Empty(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the chart: %w", err)
	}
	defer f.Close()
	rules, err := ignore.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("read the chart's %s: %w", ignore.HelmIgnore, err)
	}
	return rules, nil
}

// merge puts the layers above one another, the last one on top. A null takes
// out what is below it, as Helm does with the chart's own values.
func merge(layers []Layer) Values {
	out := Values{}
	for _, l := range layers {
		out = overlay(out, l.Values)
	}
	return out
}

func overlay(below, above map[string]any) map[string]any {
	out := maps.Clone(below)
	for k, v := range above {
		top, isMap := asMap(v)
		bottom, wasMap := asMap(out[k])
		if isMap && wasMap {
			v = overlay(bottom, top)
		} else if isMap {
			v = overlay(map[string]any{}, top)
		}
		out[k] = v
	}
	return out
}

func asMap(v any) (map[string]any, bool) {
	switch m := v.(type) {
	case map[string]any:
		return m, true
	case Values:
		return m, true
	}
	return nil, false
}

// plain makes the values what JSON makes of them, which is what Helm's schema
// and its templates expect of numbers and maps.
func plain(v Values) (Values, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write the values: %w", err)
	}
	out := Values{}
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("read the values: %w", err)
	}
	return out, nil
}

// checkValues holds the values to the chart's schema before anything is sent.
func checkValues(c *chart.Chart, v Values, layers []Layer) error {
	whole, err := chartutil.CoalesceValues(c, v)
	if err != nil {
		return fmt.Errorf("read the chart's values: %w", err)
	}
	if err = chartutil.ValidateAgainstSchema(c, whole); err == nil {
		return nil
	}
	var sources []string
	for _, l := range layers {
		if len(l.Values) > 0 {
			sources = append(sources, l.Source)
		}
	}
	return &fault.Error{
		Code: fault.ConfigInvalid, Op: "check the chart's values",
		Err:      errors.New("they do not fit its schema"),
		Evidence: schemaMistakes(err.Error()),
		Next:     "correct the named values; they come from " + strings.Join(sources, ", ") + ", then from the chart itself",
	}
}

// schemaMistakes turns the validator's lines, as in "- at '/hpa/maxReplicas':
// got string, want integer", into the paths that people write.
func schemaMistakes(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		rest, ok := strings.CutPrefix(line, "- at '")
		if !ok {
			continue
		}
		path, what, ok := strings.Cut(rest, "': ")
		if !ok {
			continue
		}
		path = strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
		if path == "" {
			path = "values"
		}
		out = append(out, path+": "+what)
	}
	if len(out) == 0 {
		return text
	}
	return strings.Join(out, "\n")
}

// digestOf names the inputs of a revision: the same ones need no other.
func digestOf(chartDigest string, v Values) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write the values: %w", err)
	}
	sum := sha256.Sum256(append([]byte(chartDigest+"\n"), text...))
	return hex.EncodeToString(sum[:])[:32], nil
}
