// Package strict reads YAML that a person wrote.
//
// It keeps the promise that all mistakes in a file are reported together, each
// with its line and column: unknown and repeated keys, wrong types, values
// that do not parse, and whatever the caller refuses afterwards.
package strict

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// maxSize is far above any configuration. It keeps a wrong path, such as that
// of an image, from being parsed: the parser's time grows with the square of
// the depth, and a file of only brackets would keep it busy.
const maxSize = 64 << 10

// maxShown is how many mistakes a person reads before mending some.
const maxShown = 100

// Mistake is one thing that is wrong in a file.
type Mistake struct {
	File         string
	Line, Column int
	Message      string
}

// String writes the mistake as compilers do, so that editors can jump to it.
func (m Mistake) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Message)
}

// Document is one file while it is read and checked.
type Document struct {
	file      string
	root      ast.Node
	positions map[string]*token.Position
	// unread are the paths whose values could not be read; what follows from
	// their absence is not worth a second mistake.
	unread   map[string]bool
	mistakes []Mistake
}

// Decode reads data into the struct that into points to. What the file does
// not say keeps its value, and maps are merged, so that a file can be decoded
// over another. Mistakes are collected, not returned: call Mistakes when all
// checks are done.
func Decode(file string, data []byte, into any) *Document {
	d := &Document{file: file, positions: make(map[string]*token.Position), unread: make(map[string]bool)}
	d.parse(data)
	d.unread[""] = len(d.mistakes) > 0
	if d.root != nil {
		d.value(d.root, reflect.ValueOf(into).Elem(), nil)
	}
	return d
}

// Refuse adds a mistake at the place of the value that path names; if the file
// does not say it, at the closest one around it. A value that could not be
// read has its mistake already and gets no other.
func (d *Document) Refuse(path []string, format string, args ...any) {
	for n := range len(path) + 1 {
		if d.unread[joined(path[:n])] {
			return
		}
	}
	for n := len(path); n >= 0; n-- {
		if pos := d.positions[joined(path[:n])]; pos != nil {
			d.refuse(pos, format, args...)
			return
		}
	}
	d.refuse(nil, format, args...)
}

// Says reports whether the file itself holds the value that path names.
func (d *Document) Says(path ...string) bool { return d.positions[joined(path)] != nil }

// Mistakes returns what is wrong, in the order of the file.
func (d *Document) Mistakes() []Mistake {
	slices.SortStableFunc(d.mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return d.mistakes
}

// Error makes one error of all mistakes, or nil if there are none.
func Error(file string, mistakes []Mistake) error {
	if len(mistakes) == 0 {
		return nil
	}
	var lines []string
	for _, m := range mistakes[:min(len(mistakes), maxShown)] {
		lines = append(lines, m.String())
	}
	if more := len(mistakes) - maxShown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	found := fmt.Sprintf("there are %d mistakes", len(mistakes))
	if len(mistakes) == 1 {
		found = "there is a mistake"
	}
	return &fault.Error{
		Code:     fault.ConfigInvalid,
		Op:       "read " + file,
		Err:      errors.New(found),
		Evidence: strings.Join(lines, "\n"),
	}
}

func (d *Document) refuse(pos *token.Position, format string, args ...any) {
	m := Mistake{File: d.file, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if pos != nil {
		m.Line, m.Column = max(pos.Line, 1), max(pos.Column, 1)
	}
	d.mistakes = append(d.mistakes, m)
}

func (d *Document) parse(data []byte) {
	// The parser is given whatever a user has at that path; a panic in it is
	// the file's fault as far as the user is concerned.
	defer func() {
		if r := recover(); r != nil {
			d.root = nil
			d.refuse(nil, "this is not readable as YAML (%v)", r)
		}
	}()
	if len(data) > maxSize {
		d.refuse(nil, "the file has %d bytes; at most %d are read", len(data), maxSize)
		return
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		line := 1 + bytes.Count(data[:i], []byte("\n"))
		d.refuse(&token.Position{Line: line, Column: i - bytes.LastIndexByte(data[:i], '\n')}, "a zero byte: this is not a text file")
		return
	}
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return
	}
	d.pick(f)
}

// pick takes the only document of the file.
func (d *Document) pick(f *ast.File) {
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if d.root != nil {
			d.refuse(position(doc.Body), "a second document; a file holds one")
			return
		}
		d.root = doc.Body
	}
}

func (d *Document) syntax(err error) {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil {
		d.refuse(syntax.Token.Position, "not valid YAML: %s", syntax.Message)
		return
	}
	d.refuse(nil, "not valid YAML: %v", err)
}

// joined makes a map key of a path; keys of a file may contain dots and
// slashes, but never a zero byte.
func joined(path []string) string { return strings.Join(path, "\x00") }

// position is where n begins; a mapping's own token is its first colon.
func position(n ast.Node) *token.Position {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return position(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(m.Key)
	}
	if n == nil || n.GetToken() == nil {
		return nil
	}
	return n.GetToken().Position
}
