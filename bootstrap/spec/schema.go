package spec

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

//go:generate go run ./genschema ../../docs/schema

// Schemas returns the JSON schemas for editors by their files' names. They are
// made from the types, so that they cannot say anything else than the parser.
func Schemas() (map[string][]byte, error) {
	out := make(map[string][]byte)
	for file, of := range map[string]any{
		"ssg-bootstrap.schema.json": Config{},
		"profile.schema.json":       profiles.Profile{},
	} {
		data, err := schema(of)
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", file, err)
		}
		out[file] = data
	}
	return out, nil
}

func schema(of any) ([]byte, error) {
	r := jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		Anonymous:                  true,
		Mapper:                     plainTexts,
	}
	data, err := json.MarshalIndent(r.Reflect(of), "", "  ")
	return append(data, '\n'), err
}

// plainTexts describes maps of texts as the parser reads them: numbers and
// booleans are taken as they stand, and null takes an inherited key out.
func plainTexts(t reflect.Type) *jsonschema.Schema {
	if t != reflect.TypeFor[map[string]string]() {
		return nil
	}
	var kinds []*jsonschema.Schema
	for _, kind := range []string{"string", "number", "boolean", "null"} {
		kinds = append(kinds, &jsonschema.Schema{Type: kind})
	}
	return &jsonschema.Schema{Type: "object", AdditionalProperties: &jsonschema.Schema{AnyOf: kinds}}
}
