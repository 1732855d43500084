// Command genschema writes the JSON schema of a result into the folder that it
// is given. It keeps the promise that the shipped schema is that of the types; a
// test of package bench fails when it is not.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
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
	data, err := bench.Schema()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(args[0], bench.SchemaFile), data, 0o644); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}
