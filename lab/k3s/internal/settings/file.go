package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Value is one key of the merged configuration files.
type Value struct {
	Key    string
	Values []string
}

// Source names the configuration file and says whether somebody asked for it:
// only then must it exist.
type Source struct {
	Path     string
	Required bool
}

// ConfigFile finds the configuration file's name.
func ConfigFile(args []string, getenv func(string) string) Source {
	if v := getenv("K3S_CONFIG_FILE"); v != "" {
		return Source{Path: v, Required: true}
	}
	if v, ok := valueOf(args, "config", "c"); ok {
		return Source{Path: v, Required: true}
	}
	return Source{Path: DefaultConfigFile}
}

// ReadFiles merges the file and the drop-ins beside it: the last value of a key
// wins, and "key+" adds to what stood before.
func ReadFiles(src Source) ([]Value, error) {
	files, err := configFiles(src)
	if err != nil {
		return nil, err
	}
	var merged []Value
	for _, f := range files {
		values, err := readFile(f)
		if err != nil {
			return nil, fmt.Errorf("read configuration %s: %w", f, err)
		}
		for _, v := range values {
			merged = merge(merged, v)
		}
	}
	return merged, nil
}

func configFiles(src Source) ([]string, error) {
	var files []string
	switch _, err := os.Stat(src.Path); {
	case err == nil:
		files = append(files, src.Path)
	case src.Required || !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	entries, err := os.ReadDir(src.Path + ".d")
	if errors.Is(err, os.ErrNotExist) {
		return files, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration drop-ins: %w", err)
	}
	var dropins []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			dropins = append(dropins, filepath.Join(src.Path+".d", e.Name()))
		}
	}
	sort.Strings(dropins)
	return append(files, dropins...), nil
}

func readFile(path string) ([]Value, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want keys and values", root.Line)
	}
	var values []Value
	for i := 0; i+1 < len(root.Content); i += 2 {
		texts, err := scalars(root.Content[i+1])
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", root.Content[i].Value, err)
		}
		values = append(values, Value{Key: root.Content[i].Value, Values: texts})
	}
	return values, nil
}

func scalars(n *yaml.Node) ([]string, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return scalars(n.Alias)
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil, nil
		}
		return []string{n.Value}, nil
	case yaml.SequenceNode:
		var all []string
		for _, item := range n.Content {
			v, err := scalars(item)
			if err != nil {
				return nil, err
			}
			all = append(all, v...)
		}
		return all, nil
	}
	return nil, fmt.Errorf("line %d: want a value or a list", n.Line)
}

func merge(all []Value, v Value) []Value {
	key, appends := strings.CutSuffix(v.Key, "+")
	for i := range all {
		if all[i].Key != key {
			continue
		}
		if appends {
			all[i].Values = append(all[i].Values, v.Values...)
		} else {
			all[i].Values = v.Values
		}
		return all
	}
	return append(all, Value{Key: key, Values: v.Values})
}
