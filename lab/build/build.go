package build

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

// DefaultK3s is the release that the lab's mirror calls stable.
const DefaultK3s = "v1.36.4+k3s1"

// keptVersions is how many versions of a product stay in the store.
const keptVersions = 6

// All builds what is missing of everything that the lab serves, and links it
// into the folder out.
func All(ctx context.Context, log *slog.Logger) error {
	start := time.Now()
	if err := Prerequisites(ctx, log); err != nil {
		return err
	}
	b, err := open(log)
	if err != nil {
		return err
	}
	if err := b.programs(ctx, DefaultK3s); err != nil {
		return err
	}
	if err := b.links(ctx); err != nil {
		return err
	}
	if _, err := b.layouts(ctx); err != nil {
		return err
	}
	if err := b.runnersPart(ctx); err != nil {
		return err
	}
	if err := b.tailnetPart(ctx); err != nil {
		return err
	}
	dir, err := b.release(ctx, DefaultK3s)
	if err != nil {
		return err
	}
	if err := b.store.Prune(keptVersions); err != nil {
		return err
	}
	log.Info("all is built", "release", dir, "took", time.Since(start).Round(time.Second/10))
	return nil
}

// Runner builds what is missing of the runner's package, of the packages that it
// needs and of Helm, which its jobs use, and returns the mirror's folder.
func Runner(ctx context.Context, log *slog.Logger) (string, error) {
	b, err := open(log)
	if err != nil {
		return "", err
	}
	return b.out("mirror"), b.runnersPart(ctx)
}

func (b *builder) runnersPart(ctx context.Context) error {
	if err := b.archive(ctx); err != nil {
		return err
	}
	if err := b.helm(ctx); err != nil {
		return err
	}
	return b.runner(ctx)
}

// Tailnet builds what is missing of Tailscale's package and of the lab's
// tailnet, and returns the mirror's folder.
func Tailnet(ctx context.Context, log *slog.Logger) (string, error) {
	b, err := open(log)
	if err != nil {
		return "", err
	}
	return b.out("mirror"), b.tailnetPart(ctx)
}

// K3sRelease builds what is missing of one k3s release and returns the folder
// that holds it, laid out as a mirror serves it.
func K3sRelease(ctx context.Context, version string) (string, error) {
	b, err := open(slog.Default())
	if err != nil {
		return "", err
	}
	return b.release(ctx, version)
}

// Images builds what is missing of the archive of system images and returns its path.
func Images(ctx context.Context, log *slog.Logger) (string, error) {
	b, err := open(log)
	if err != nil {
		return "", err
	}
	if err := b.links(ctx); err != nil {
		return "", err
	}
	return b.airgap(ctx)
}

// links gives the products fixed paths: commands in out/bin, the firewall tools
// in out/bin/aux, the archive of images in out.
func (b *builder) links(ctx context.Context) error {
	files, err := b.payload(ctx)
	if err != nil {
		return err
	}
	for _, u := range upstreams() {
		dir, err := b.upstream(ctx, u)
		if err != nil {
			return err
		}
		if err := addFiles(files, dir, "bin"); err != nil {
			return err
		}
	}
	for _, name := range sortedNames(files) {
		if err := store.Link(files[name], b.out(name)); err != nil {
			return err
		}
	}
	archive, err := b.airgap(ctx)
	if err != nil {
		return err
	}
	// Not a link like the others: zstd's own command refuses those.
	return place(archive, b.out(archiveName))
}

// Status prints the products that out leads to, with their sizes.
func Status(to io.Writer) error {
	b, err := open(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return filepath.WalkDir(b.out(), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "/aux/lib/") {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(b.out(), path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(to, "%9.1f MB  %s\n", float64(info.Size())/1e6, name)
		return err
	})
}
