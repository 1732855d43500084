package strict

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

func (d *Document) value(n ast.Node, v reflect.Value, path []string) {
	if n == nil {
		return
	}
	if _, noted := d.positions[joined(path)]; !noted {
		d.positions[joined(path)] = position(n)
	}
	before := len(d.mistakes)
	d.read(n, v, path)
	if _, readable := n.(ast.MapNode); !readable && len(d.mistakes) > before {
		d.unread[joined(path)] = true
	}
}

func (d *Document) read(n ast.Node, v reflect.Value, path []string) {
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, t)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.String:
		if s, ok := d.scalar(n, "a text").(*ast.StringNode); ok {
			v.SetString(s.Value)
		}
	case reflect.Bool:
		if b, ok := d.scalar(n, "true or false").(*ast.BoolNode); ok {
			v.SetBool(b.Value)
		}
	case reflect.Int:
		d.integer(n, v)
	case reflect.Float64:
		d.float(n, v)
	case reflect.Pointer:
		// What is left out and what is false are not the same.
		elem := reflect.New(v.Type().Elem())
		d.read(n, elem.Elem(), path)
		v.Set(elem)
	case reflect.Interface:
		if found, ok := d.any(n, v.Interface(), path); ok && found != nil {
			v.Set(reflect.ValueOf(found))
		}
	default:
		panic(fmt.Sprintf("strict: no reading of %s", v.Type()))
	}
}

// scalar returns n if it is of the kind that is called want, else it adds a
// mistake and returns nil. A block text counts as text.
func (d *Document) scalar(n ast.Node, want string) ast.Node {
	ok := false
	switch n := n.(type) {
	case *ast.LiteralNode:
		return d.scalar(n.Value, want)
	case *ast.StringNode:
		ok = want == "a text"
	case *ast.BoolNode:
		ok = want == "true or false"
	case *ast.IntegerNode:
		ok = want == "a whole number"
	}
	if ok {
		return n
	}
	hint := ""
	if plain, isPlain := source(n); isPlain && want == "a text" {
		hint = fmt.Sprintf("; put it in quotes: %q", plain)
	}
	d.refuse(position(n), "%s where %s is expected%s", describe(n), want, hint)
	return nil
}

func (d *Document) text(n ast.Node, into encoding.TextUnmarshaler) {
	s, ok := source(n)
	if !ok {
		d.refuse(position(n), "%s where a single value is expected", describe(n))
		return
	}
	if err := into.UnmarshalText([]byte(s)); err != nil {
		d.refuse(position(n), "%v", err)
	}
}

func (d *Document) integer(n ast.Node, v reflect.Value) {
	i, ok := d.scalar(n, "a whole number").(*ast.IntegerNode)
	if !ok {
		return
	}
	switch x := i.Value.(type) {
	case int64:
		v.SetInt(x)
	case uint64:
		if x <= math.MaxInt64 {
			v.SetInt(int64(x))
			return
		}
		d.refuse(position(n), "%d is too large", x)
	}
}

func (d *Document) float(n ast.Node, v reflect.Value) {
	if f, ok := n.(*ast.FloatNode); ok {
		v.SetFloat(f.Value)
		return
	}
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		d.refuse(position(n), "%s where a number is expected", describe(n))
		return
	}
	switch x := i.Value.(type) {
	case int64:
		v.SetFloat(float64(x))
	case uint64:
		v.SetFloat(float64(x))
	}
}

func (d *Document) structure(n ast.Node, v reflect.Value, path []string) {
	fields := make(map[string]reflect.Value)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			fields[name] = v.Field(i)
		}
	}
	for _, e := range d.entries(n) {
		field, known := fields[e.key]
		if !known {
			d.refuse(e.pos, "unknown key %q%s", e.key, suggest(e.key, fields))
			continue
		}
		at := append(slices.Clone(path), e.key)
		d.positions[joined(at)] = e.pos
		switch null, empty := e.value.(*ast.NullNode); {
		case !empty:
			d.value(e.value, field, at)
		case !isSection(field):
			d.refuse(e.pos, "%s has no value", e.key)
		case null.Token.Type != token.ImplicitNullType && field.Kind() != reflect.Struct:
			field.SetZero() // a null that is written out takes out what was inherited
		}
	}
}

// isSection reports whether a key without a value is fine: a section whose
// lines are all comments.
func isSection(v reflect.Value) bool {
	return v.Kind() == reflect.Struct || v.Kind() == reflect.Map || v.Kind() == reflect.Slice
}

func (d *Document) mapping(n ast.Node, v reflect.Value, path []string) {
	entries := d.entries(n)
	if v.IsNil() && len(entries) > 0 {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, e := range entries {
		at := append(slices.Clone(path), e.key)
		d.positions[joined(at)] = e.pos
		key := reflect.ValueOf(e.key)
		elem := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(key); old.IsValid() {
			elem.Set(old)
		}
		_, empty := e.value.(*ast.NullNode)
		switch {
		case empty && elem.Kind() != reflect.Struct:
			v.SetMapIndex(key, reflect.Value{}) // takes out what was inherited
			continue
		case empty:
		case elem.Kind() == reflect.String:
			// Flags and kernel parameters are texts that look like numbers;
			// they are taken as they stand in the file.
			d.verbatim(e.value, elem)
		default:
			d.value(e.value, elem, at)
		}
		v.SetMapIndex(key, elem)
	}
}

func (d *Document) verbatim(n ast.Node, v reflect.Value) {
	s, ok := source(n)
	if !ok {
		d.refuse(position(n), "%s where a single value is expected", describe(n))
		return
	}
	v.SetString(s)
}

func (d *Document) list(n ast.Node, v reflect.Value, path []string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.refuse(position(n), "%s where a list is expected", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		d.value(item, out.Index(i), append(slices.Clone(path), index(i)))
	}
	v.Set(out)
}

// any makes plain Go values of n; old is what a map is merged into.
func (d *Document) any(n ast.Node, old any, path []string) (any, bool) {
	switch n := n.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.IntegerNode:
		var i int64
		d.integer(n, reflect.ValueOf(&i).Elem())
		return i, true
	case *ast.SequenceNode:
		out := make([]any, len(n.Values))
		d.list(n, reflect.ValueOf(&out).Elem(), path)
		return out, true
	case *ast.MappingNode, *ast.MappingValueNode:
		out, _ := old.(map[string]any)
		if out == nil {
			out = make(map[string]any)
		}
		d.mapping(n, reflect.ValueOf(&out).Elem(), path)
		return out, true
	}
	d.refuse(position(n), "%s is not supported here", describe(n))
	return nil, false
}

type entry struct {
	key   string
	pos   *token.Position
	value ast.Node
}

// entries returns the keys and values of a mapping, without those that are
// wrong in themselves.
func (d *Document) entries(n ast.Node) []entry {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		d.refuse(position(n), "%s where keys and values are expected", describe(n))
		return nil
	}
	var out []entry
	first := make(map[string]*token.Position, len(pairs))
	for _, p := range pairs {
		pos := position(p.Key)
		key, ok := source(p.Key)
		switch {
		case !ok:
			d.refuse(pos, "%s is not supported as a key", describe(p.Key))
		case first[key] != nil:
			d.refuse(pos, "%q is there already, in line %d", key, first[key].Line)
		default:
			first[key] = pos
			out = append(out, entry{key, pos, p.Value})
		}
	}
	return out
}

// source returns a single value as it stands in the file.
func source(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "a YAML anchor or alias"
	case *ast.TagNode:
		return "a YAML tag"
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", n.Value)
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.IntegerNode, *ast.FloatNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return n.GetToken().Value
	}
	return "this"
}

func index(i int) string { return fmt.Sprintf("[%d]", i) }
