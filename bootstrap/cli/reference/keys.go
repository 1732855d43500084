package reference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// keysPage is the page of all keys that a schema has.
type keysPage struct {
	file, schema, title, intro string
}

// node is what the page shows of a JSON schema.
type node struct {
	Ref         string          `json:"$ref"`
	Defs        map[string]node `json:"$defs"`
	Type        string          `json:"type"`
	Properties  ordered         `json:"properties"`
	Additional  json.RawMessage `json:"additionalProperties"`
	Items       *node           `json:"items"`
	Description string          `json:"description"`
	Enum        []any           `json:"enum"`
	Examples    []any           `json:"examples"`
	Minimum     *json.Number    `json:"minimum"`
	Maximum     *json.Number    `json:"maximum"`
	Above       *json.Number    `json:"exclusiveMinimum"`
	MaxLength   *int            `json:"maxLength"`
	Pattern     string          `json:"pattern"`
	Required    []string        `json:"required"`
}

// ordered keeps the order of the type's fields.
type ordered []property

type property struct {
	name string
	node node
}

func (o *ordered) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		p := property{name: fmt.Sprint(name)}
		if err := d.Decode(&p.node); err != nil {
			return err
		}
		*o = append(*o, p)
	}
	return nil
}

func (p keysPage) render(schema []byte) ([]byte, error) {
	var root node
	if err := json.Unmarshal(schema, &root); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# %s\n\n%s\nEditors complete these keys with [the schema](../schema/%s).\n\n| Key | Value | Meaning |\n|---|---|---|\n", made, p.title, p.intro, p.schema)
	k := keys{defs: root.Defs, out: &b, sections: map[string]string{}}
	for _, p := range k.resolve(root).Properties {
		k.sections[p.node.Ref] = p.name
	}
	k.list("", k.resolve(root), nil)
	return b.Bytes(), nil
}

type keys struct {
	defs map[string]node
	out  *bytes.Buffer
	// sections are the top-level keys by the type that they hold: a host's
	// section of the same type is not told twice.
	sections map[string]string
}

// resolve replaces a reference by what it refers to, under its own words.
func (k keys) resolve(n node) node {
	if n.Ref == "" {
		return n
	}
	def := k.defs[strings.TrimPrefix(n.Ref, "#/$defs/")]
	if n.Description != "" {
		def.Description = n.Description
	}
	return def
}

// list writes a row for each key below n; within are the keys on the way, for
// a type that holds itself.
func (k keys) list(path string, n node, within []string) {
	for _, p := range n.Properties {
		k.row(strings.TrimPrefix(path+"."+p.name, "."), p.node, slices.Contains(n.Required, p.name), within)
	}
	if of, ok := k.additional(n); ok && len(k.resolve(of).Properties) > 0 {
		k.list(path+".NAME", k.resolve(of), append(within, of.Ref))
	}
}

func (k keys) row(path string, raw node, required bool, within []string) {
	n := k.resolve(raw)
	meaning := n.Description
	if required {
		meaning += " Required."
	}
	above := k.sections[raw.Ref]
	if raw.Ref == "" || above == path {
		above = ""
	}
	if above != "" {
		meaning += " The keys of `" + above + "`, which it overrides one by one."
	}
	fmt.Fprintf(k.out, "| `%s` | %s | %s |\n", path, k.value(n), cell(meaning))
	if above != "" || raw.Ref != "" && slices.Contains(within, raw.Ref) {
		return
	}
	below := append(append([]string{}, within...), raw.Ref)
	if n.Items != nil {
		k.list(path+"[]", k.resolve(*n.Items), append(below, n.Items.Ref))
	}
	k.list(path, n, below)
}

// additional is what further keys of an object hold, if there may be any.
func (k keys) additional(n node) (node, bool) {
	var of node
	if len(n.Additional) == 0 || json.Unmarshal(n.Additional, &of) != nil {
		return of, false
	}
	return of, true
}

// value says what may stand behind a key.
func (k keys) value(n node) string {
	parts := []string{k.kind(n)}
	if len(n.Enum) > 0 {
		parts = []string{"one of " + codes(n.Enum)}
	}
	if n.Minimum != nil && n.Maximum != nil {
		parts = append(parts, n.Minimum.String()+" to "+n.Maximum.String())
	} else if n.Minimum != nil {
		parts = append(parts, "at least "+n.Minimum.String())
	}
	if n.Above != nil {
		parts = append(parts, "above "+n.Above.String())
	}
	if n.MaxLength != nil {
		parts = append(parts, fmt.Sprintf("at most %d characters", *n.MaxLength))
	}
	if len(n.Examples) > 0 {
		parts = append(parts, "such as "+codes(n.Examples))
	} else if n.Pattern != "" {
		parts = append(parts, "matches `"+strings.ReplaceAll(n.Pattern, "|", "\\|")+"`")
	}
	return strings.Join(parts, ", ")
}

func (k keys) kind(n node) string {
	switch n.Type {
	case "string":
		return "text"
	case "boolean":
		return "`true` or `false`"
	case "array":
		if n.Items != nil {
			return "list of " + k.kind(k.resolve(*n.Items))
		}
		return "list"
	case "object":
		if len(n.Properties) > 0 {
			return "section"
		}
		return "map"
	case "":
		return "any"
	}
	return n.Type
}

func codes(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = "`" + fmt.Sprint(v) + "`"
	}
	return strings.Join(words, ", ")
}

func cell(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "|", "\\|")
}
