// Package reference writes the reference, the man pages and the completion
// scripts from the program itself.
//
// It keeps the promise that no document says of a command, a flag or a key
// what the program does not: all of it is made from the commands and from the
// types that the parser reads, and a test fails when a page is stale.
package reference

import (
	"fmt"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
)

//go:generate go run ./genreference ../../../docs/reference

const made = "<!-- Written by `make generate`. Change the code, not this page. -->\n\n"

// Pages returns the pages of docs/reference by their files' names.
func Pages() (map[string][]byte, error) {
	schemas, err := spec.Schemas()
	if err != nil {
		return nil, err
	}
	commands, err := commandsPage()
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{"commands.md": commands}
	for _, p := range []keysPage{
		{
			file: "configuration.md", schema: "ssg-bootstrap.schema.json", title: "ssg-bootstrap.yaml",
			intro: "What `ssg-bootstrap init` writes a first version of. It is looked for in the current\n" +
				"folder, then in `~/.config/ssg-bootstrap`; `--config` names another. Unknown keys\n" +
				"are refused, and all mistakes are told at once with their lines. `NAME` stands\n" +
				"for a key that you choose.\n",
		},
		{
			file: "profile.md", schema: "profile.schema.json", title: "A profile",
			intro: "What is known about a kind of hardware. `ssg-bootstrap profiles` lists the built-in\n" +
				"ones, `ssg-bootstrap profiles show core2duo-4gb` prints one with its reasons, and\n" +
				"`--profile ./mine.yaml` takes your own, which may build on another.\n",
		},
	} {
		page, err := p.render(schemas[p.schema])
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", p.file, err)
		}
		out[p.file] = page
	}
	return out, nil
}
