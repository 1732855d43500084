// Command genschema writes the JSON schemas into the folder that it is given.
// It keeps the promise that the shipped schemas are those of the types; a test
// of package spec fails when they are not.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "genschema:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: genschema FOLDER")
	}
	schemas, err := spec.Schemas()
	if err != nil {
		return err
	}
	for file, data := range schemas {
		if err := os.WriteFile(filepath.Join(args[0], file), data, 0o644); err != nil {
			return fmt.Errorf("write schema: %w", err)
		}
	}
	return nil
}
