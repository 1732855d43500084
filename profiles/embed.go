package profiles

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed *.yaml
var builtIn embed.FS

// Names returns the names of the built-in profiles, sorted.
func Names() []string {
	files, err := fs.Glob(builtIn, "*.yaml")
	if err != nil {
		panic(err) // the pattern is constant
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".yaml")
	}
	slices.Sort(files)
	return files
}

// Source returns the file of a built-in profile, with its comments.
func Source(name string) ([]byte, error) {
	data, err := builtIn.ReadFile(name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("there is no built-in profile %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return data, nil
}

// List returns the built-in profiles, sorted by name.
func List() []Summary {
	var out []Summary
	for _, name := range Names() {
		p, err := Load(name)
		if err != nil {
			panic(err) // a test loads every built-in profile
		}
		out = append(out, Summary{Name: p.Name, Description: p.Description, For: p.For})
	}
	return out
}
