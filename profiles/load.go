package profiles

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec/strict"
)

// IsPath reports whether what a user gave as a profile is a file rather than
// the name of a built-in profile.
func IsPath(name string) bool {
	return strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// Load reads a built-in profile by its name, or a file by its path.
func Load(name string) (Profile, error) {
	if !IsPath(name) {
		data, err := Source(name)
		if err != nil {
			return Profile{}, unknown(name, err)
		}
		return Parse(builtInPath(name), data)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return Profile{}, fault.New(fault.ConfigInvalid, "check the profile's path", "read profile: %w", err)
	}
	return Parse(name, data)
}

// builtInPath stands for a built-in profile where files have their paths; no
// file of a user is called like this.
func builtInPath(name string) string { return "(built-in) " + name + ".yaml" }

func unknown(name string, err error) error {
	next := "see `ssg-bootstrap profiles list`"
	if close, ok := strict.Closest(name, Names()); ok {
		next = "did you mean --profile " + close + "?"
	}
	return fault.New(fault.ConfigInvalid, next, "load profile: %w", err)
}

// Parse reads a profile and what it extends. The path is where relative paths
// start from and what mistakes are reported under.
func Parse(path string, data []byte) (Profile, error) {
	p, mistakes := parse(path, data, nil)
	if err := strict.Error(path, mistakes); err != nil {
		return Profile{}, err
	}
	return p, nil
}

// parse decodes a profile over the one that it extends; chain holds the paths
// on the way here, to find a circle.
func parse(path string, data []byte, chain []string) (Profile, []strict.Mistake) {
	var head Profile
	headDoc := strict.Decode(path, data, &head)
	if head.Extends == "" {
		check(head, headDoc)
		return head, headDoc.Mistakes()
	}
	p, err := base(path, head.Extends, append(slices.Clone(chain), path))
	doc := strict.Decode(path, data, &p)
	if err != nil {
		doc.Refuse([]string{"extends"}, "%v", err)
		return p, append(doc.Mistakes(), basesMistakes(err)...)
	}
	check(p, doc)
	return p, doc.Mistakes()
}

// baseError is a profile that cannot be extended because of its own mistakes.
type baseError struct {
	name     string
	mistakes []strict.Mistake
}

func (e *baseError) Error() string { return fmt.Sprintf("%s has mistakes of its own", e.name) }

func basesMistakes(err error) []strict.Mistake {
	if e, ok := err.(*baseError); ok {
		return e.mistakes
	}
	return nil
}

func base(from, name string, chain []string) (Profile, error) {
	path, data, err := find(from, name)
	if err != nil {
		return Profile{}, err
	}
	if slices.Contains(chain, path) {
		return Profile{}, fmt.Errorf("profiles extend each other: %s", strings.Join(append(chain, path), " → "))
	}
	p, mistakes := parse(path, data, chain)
	if len(mistakes) > 0 {
		return p, &baseError{name, mistakes}
	}
	return p, nil
}

func find(from, name string) (path string, data []byte, err error) {
	if !IsPath(name) {
		data, err := Source(name)
		if close, ok := strict.Closest(name, Names()); err != nil && ok {
			err = fmt.Errorf("%w; did you mean %s?", err, close)
		}
		return builtInPath(name), data, err
	}
	path = name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(from), path)
	}
	data, err = os.ReadFile(path)
	if err != nil {
		return path, nil, fmt.Errorf("read what is extended: %w", err)
	}
	return path, data, nil
}
