package build

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

const (
	tailscaleModule = "tailscale.com"
	tailscaleFolder = "third_party/tailscale"
	// tailscaleMirror is the folder of the mirror that stands in for the site
	// where Tailscale's packages are.
	tailscaleMirror = "tailscale/stable"
)

// tailscaleFeatures are what the box needs of Tailscale: a TUN device with
// routes and a firewall, systemd's notice, and the client in the same program.
// The file tags below the module has the build tags that leave out the rest.
func tailscaleFeatures() []string {
	return []string{"cli", "osrouter", "unixsocketidentity", "ipnbus", "sdnotify", "iptables", "health"}
}

// tailscaleProgram says how Tailscale's daemon, which is its client too, is compiled.
func (b *builder) tailscaleProgram() (p program, version string, err error) {
	folder := filepath.Join(b.lab, tailscaleFolder)
	if version, err = moduleVersion(folder, tailscaleModule); err != nil {
		return program{}, "", err
	}
	version = strings.TrimPrefix(version, "v")
	tags, err := os.ReadFile(filepath.Join(folder, "tags"))
	if err != nil {
		return program{}, "", fmt.Errorf("read Tailscale's build tags: %w", err)
	}
	return program{
		name: "tailscale", module: tailscaleFolder, packages: []string{tailscaleModule + "/cmd/tailscaled"}, output: "tailscaled",
		tags: strings.Fields(string(tags)),
		set: map[string]string{
			tailscaleModule + "/version.shortStamp": version,
			tailscaleModule + "/version.longStamp":  version + "-lab",
		},
	}, version, nil
}

// tailscale packs Tailscale's static tarball as its publisher does.
func (b *builder) tailscale(ctx context.Context) error {
	p, version, err := b.tailscaleProgram()
	if err != nil {
		return err
	}
	compiled, err := b.compile(ctx, p)
	if err != nil {
		return err
	}
	daemon := filepath.Join(compiled, p.output)
	recipe := &store.Recipe{}
	recipe.Add("layout", "1") // of the archive
	recipe.Add("version", version)
	if err := recipe.AddFile("tailscaled", daemon); err != nil {
		return fmt.Errorf("describe tailscale: %w", err)
	}
	name := "tailscale_" + version + "_amd64.tgz"
	dir, err := b.get(ctx, "tailscale-release", recipe, func(ctx context.Context, dir string, _ *os.File) error {
		sources, err := b.download(ctx, p, tailscaleModule)
		if err != nil {
			return err
		}
		tarball := filepath.Join(dir, name)
		if err := writeTo(tarball, func(file io.Writer) error {
			return packTailscale(file, "tailscale_"+version+"_amd64", daemon, filepath.Join(sources, "cmd", "tailscaled"))
		}); err != nil {
			return err
		}
		sum, err := store.FileSum(tarball)
		if err != nil {
			return err
		}
		return os.WriteFile(tarball+".sha256", []byte(sum), 0o644)
	})
	if err != nil {
		return err
	}
	// The sum last: whoever finds it finds the file that it is of.
	for _, file := range []string{name, name + ".sha256"} {
		if err := place(filepath.Join(dir, file), b.out("mirror", tailscaleMirror, file)); err != nil {
			return fmt.Errorf("place %s: %w", file, err)
		}
	}
	return nil
}

// packTailscale writes the archive: one folder with the two programs, which are
// one here and tell by their name what they are to be, and systemd's files as
// the sources have them.
func packTailscale(to io.Writer, folder, daemon, sources string) error {
	zipped := gzip.NewWriter(to)
	archive := tar.NewWriter(zipped)
	for _, file := range []struct {
		name, from string
		mode       int64
	}{
		{"tailscale", daemon, 0o755},
		{"tailscaled", daemon, 0o755},
		{"systemd/tailscale-online.target", filepath.Join(sources, "tailscale-online.target"), 0o644},
		{"systemd/tailscale-wait-online.service", filepath.Join(sources, "tailscale-wait-online.service"), 0o644},
		{"systemd/tailscaled.defaults", filepath.Join(sources, "tailscaled.defaults"), 0o644},
		{"systemd/tailscaled.service", filepath.Join(sources, "tailscaled.service"), 0o644},
	} {
		if err := packFile(archive, path.Join(folder, file.name), file.from, file.mode); err != nil {
			return errors.Join(err, zipped.Close())
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}

// packFile adds one file to an archive; its time is always the same, so that
// the same files make the same archive.
func packFile(archive *tar.Writer, name, from string, mode int64) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: mode, Size: info.Size(), ModTime: time.Unix(0, 0), Format: tar.FormatGNU}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

// tailnetd compiles the lab's tailnet.
func (b *builder) tailnetd(ctx context.Context) error {
	p := program{name: "tailnetd", module: "tailnet", packages: []string{"./cmd/tailnetd"}, output: "tailnetd"}
	dir, err := b.compile(ctx, p)
	if err != nil {
		return err
	}
	return store.Link(filepath.Join(dir, p.output), b.out("bin", p.output))
}

// tailnetPart builds the box's part of the tailnet and the workstation's.
func (b *builder) tailnetPart(ctx context.Context) error {
	if err := b.tailscale(ctx); err != nil {
		return err
	}
	return b.tailnetd(ctx)
}
