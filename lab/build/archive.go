package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/omkar619-dev/ssg-bootstrap/lab/archive"
	"github.com/omkar619-dev/ssg-bootstrap/lab/build/debian"
	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

// archivePackages are what the box may install: the libraries that the runner
// is linked against. All but the first are on the box already.
func archivePackages() []string { return []string{"libicu76", "libkrb5-3", "libssl3t64", "zlib1g"} }

// archive lays out the packages that the box's apt finds, below the mirror.
func (b *builder) archive(ctx context.Context) error {
	recipe := &store.Recipe{}
	recipe.Add("suite", suite)
	recipe.Add("packages", archivePackages()...)
	if err := recipe.AddFile("archive.go", filepath.Join(b.lab, "archive", "archive.go")); err != nil {
		return fmt.Errorf("describe archive: %w", err)
	}
	dir, err := b.get(ctx, "debian-archive", recipe, func(ctx context.Context, dir string, log *os.File) error {
		sources, err := debian.Find(ctx, "/etc", suite)
		if err != nil {
			return err
		}
		fetched, err := os.MkdirTemp("", "packages-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(fetched)
		if err := debian.Fetch(ctx, sources, archivePackages(), fetched, log); err != nil {
			return err
		}
		packages, err := filepath.Glob(filepath.Join(fetched, "*.deb"))
		if err != nil {
			return err
		}
		return archive.Write(dir, suite, packages)
	})
	if err != nil {
		return err
	}
	return store.Link(dir, b.out("mirror", "debian"))
}
