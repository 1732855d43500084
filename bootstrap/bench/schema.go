package bench

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"
)

//go:generate go run ./genschema ../../docs/schema

// SchemaFile is the name of the schema of a result.
const SchemaFile = "bench.schema.json"

// Schema returns the JSON schema of a result: of what `bench -o json` prints as
// its data, and of what is kept. It is made from the types.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{Anonymous: true}
	s := r.Reflect(Result{})
	s.Title = "What ssg-bootstrap bench measured"
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("make the schema: %w", err)
	}
	return append(data, '\n'), nil
}
