// Package managed keeps small files on the box as they should be.
//
// It keeps the promise that a file which somebody else wrote is never
// overwritten unasked: every file of ours carries a marker, what lacks it is
// reported as foreign together with a diff, and secrets do not appear in it.
package managed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// Marker is the comment by which our files are known.
const Marker = "# Managed by ssg-bootstrap"

// File is one file as it should be. Its content must hold Marker.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content []byte
	// Ours says that nobody else has reason to write this path, so that
	// whatever is there may be replaced.
	Ours bool
	// Redact, if not nil, takes the secrets out of a content before it is
	// shown.
	Redact func([]byte) []byte
}

// Seen is what is there of one file.
type Seen struct {
	Present bool
	// Kind is stat's raw mode, whose upper bits tell a file from a link.
	Kind uint32
	// Modified is the time of the last change, in seconds since 1970.
	Modified int64
	SHA256   string
	// Content is read only where it differs from what should be.
	Content []byte
}

// State is what was seen, by path.
type State map[string]Seen

// Look is what a step wants to know.
type Look struct {
	Files []File
	// Units are names of systemd units, with their suffix.
	Units []string
	// Script is a fragment of shell that changes nothing and asks for the rest.
	// It runs as root and prints what it has to say even where it fails.
	Script string
	// Beside are further queries of the same round trip, which others may ask
	// as well.
	Beside []host.Command
	// Settle, if not nil, makes the files out of what was asked beside, where
	// their contents follow from it. The paths are those of Files.
	Settle func(beside [][]byte) ([]File, error)
}

// Observed is the answer to a Look.
type Observed struct {
	Files State
	Units Units
	// Out is what the script printed.
	Out []byte
	// Beside is what the further queries printed.
	Beside [][]byte
}

// filesScript looks at the files of all steps in two processes; absent ones
// only make them fail, which is no news.
const filesScript = `[ $# -gt 0 ] || exit 0
stat -c 'mode %f %Y %n' -- "$@" 2>/dev/null
sha256sum -- "$@" 2>/dev/null
:
`

// Observe looks at everything in one round trip. What differs from what should
// be is read in a second one, to be shown.
func Observe(ctx context.Context, r host.Reader, l Look) (Observed, error) {
	answers, err := r.QueryMany(ctx, append([]host.Command{
		filesQuery(l.Files),
		UnitsQuery(l.Units...),
		{Argv: []string{"sh", "-c", l.Script + "\n:\n", "sh"}, Root: true},
	}, l.Beside...))
	if err != nil {
		return Observed{}, err
	}
	var beside [][]byte
	for i, a := range answers {
		err = errors.Join(err, a.Err)
		if i > 2 {
			beside = append(beside, a.Out)
		}
	}
	if err != nil {
		return Observed{}, err
	}
	files, err := parse(string(answers[0].Out))
	if err != nil {
		return Observed{}, err
	}
	if l.Settle != nil {
		if l.Files, err = l.Settle(beside); err != nil {
			return Observed{}, err
		}
	}
	if err := readDifferent(ctx, r, l.Files, files); err != nil {
		return Observed{}, err
	}
	return Observed{Files: files, Units: ParseUnits(answers[1].Out), Out: answers[2].Out, Beside: beside}, nil
}

func filesQuery(files []File) host.Command {
	c := host.Command{Argv: []string{"sh", "-c", filesScript, "sh"}, Root: true}
	for _, f := range files {
		c.Also = append(c.Also, f.Path)
	}
	return c
}

// readDifferent adds the contents that differ.
func readDifferent(ctx context.Context, r host.Reader, files []File, state State) error {
	for _, f := range files {
		s := state[f.Path]
		if !s.Present || s.SHA256 == "" || s.SHA256 == sum(f.Content) {
			continue
		}
		// Only to show the difference, so the beginning is enough.
		var err error
		if s.Content, err = r.Query(ctx, host.Command{Argv: []string{"head", "-c", "65536", "--", f.Path}, Root: true}); err != nil {
			return fmt.Errorf("read %s: %w", f.Path, err)
		}
		state[f.Path] = s
	}
	return nil
}

// parse reads the lines of stat ("mode 81a4 1795382289 /path") and of sha256sum
// ("hex  /path").
func parse(out string) (State, error) {
	state := State{}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "mode "); ok {
			path, seen, err := parseStat(rest)
			if err != nil {
				return nil, fmt.Errorf("read %.80q: %w", line, err)
			}
			state[path] = seen
			continue
		}
		digest, path, ok := strings.Cut(line, "  ")
		if !ok || len(digest) != 2*sha256.Size {
			return nil, fmt.Errorf("not a digest and a path: %.80q", line)
		}
		s := state[path]
		s.SHA256 = digest
		state[path] = s
	}
	return state, nil
}

func parseStat(rest string) (string, Seen, error) {
	hexMode, rest, _ := strings.Cut(rest, " ")
	seconds, path, _ := strings.Cut(rest, " ")
	mode, err := strconv.ParseUint(hexMode, 16, 32)
	if err != nil {
		return "", Seen{}, err
	}
	modified, err := strconv.ParseInt(seconds, 10, 64)
	return path, Seen{Present: true, Kind: uint32(mode), Modified: modified}, err
}

// Pairs reads key=value lines and leaves out all others.
func Pairs(out []byte) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			m[k] = v
		}
	}
	return m
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// Diff returns what must change; it is empty when the files are as they
// should be.
func Diff(files []File, state State) []step.Change {
	var out []step.Change
	for _, f := range files {
		if c, differs := f.diff(state[f.Path]); differs {
			out = append(out, c)
		}
	}
	return out
}

// regular is the type part of stat's mode for a plain file.
const regular, typeBits = 0o100000, 0o170000

func (f File) diff(s Seen) (step.Change, bool) {
	c := step.Change{Object: f.Path}
	switch {
	case !s.Present:
		c.Verb, c.Why, c.Bytes = step.Create, "absent", int64(len(f.Content))
	case s.Kind&typeBits != regular:
		c.Verb, c.Why, c.Foreign = step.Update, "is not a plain file", true
	case s.SHA256 != sum(f.Content):
		c.Verb, c.Why, c.Bytes = step.Update, "content differs", int64(len(f.Content))
		c.Diff = f.unified(s.Content)
		if c.Foreign = !f.Ours && foreign(s.Content); c.Foreign {
			c.Why = "made by somebody else"
		}
	case fs.FileMode(s.Kind).Perm() != f.Mode.Perm():
		c.Verb, c.Why = step.Update, fmt.Sprintf("mode %o → %o", fs.FileMode(s.Kind).Perm(), f.Mode.Perm())
	default:
		return c, false
	}
	return c, true
}

// foreign reports whether content was written by somebody else. A file that
// holds nothing, as after a power cut on some file systems, is nobody's.
func foreign(content []byte) bool {
	text := strings.TrimSpace(strings.Trim(string(content), "\x00"))
	return text != "" && !strings.Contains(text, Marker)
}

// Apply writes those of the files that changes name.
func Apply(ctx context.Context, h host.Host, files []File, changes []step.Change) error {
	named := map[string]bool{}
	for _, c := range changes {
		named[c.Object] = true
	}
	var put []host.File
	for _, f := range files {
		if named[f.Path] {
			put = append(put, host.File{Path: f.Path, Mode: f.Mode, Content: f.Content})
		}
	}
	return h.Put(ctx, put...)
}

// Named reports whether one of the changes is about the object.
func Named(changes []step.Change, object string) bool {
	for _, c := range changes {
		if c.Object == object {
			return true
		}
	}
	return false
}

// Touches reports whether one of the changes is about one of the files.
func Touches(changes []step.Change, files []File) bool {
	for _, f := range files {
		if Named(changes, f.Path) {
			return true
		}
	}
	return false
}
