// Command genreference writes the pages of the reference into the folder that
// it is given. It keeps the promise that the pages are those of the program; a
// test of package reference fails when they are not.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cli/reference"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "genreference:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: genreference FOLDER")
	}
	pages, err := reference.Pages()
	if err != nil {
		return err
	}
	for file, data := range pages {
		if err := os.WriteFile(filepath.Join(args[0], file), data, 0o644); err != nil {
			return fmt.Errorf("write the reference: %w", err)
		}
	}
	return nil
}
