package build

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

const (
	helmModule = "helm.sh/helm/v3"
	helmFolder = "third_party/helm"
	// helmMirror is the folder of the mirror that stands in for the site where
	// Helm's releases are: all of them side by side.
	helmMirror = "helm"
)

// helmProgram says how Helm is compiled: as its own Makefile does, so that it
// knows its version and that of the Kubernetes it was made with.
func (b *builder) helmProgram() (p program, version string, err error) {
	folder := filepath.Join(b.lab, helmFolder)
	if version, err = moduleVersion(folder, helmModule); err != nil {
		return program{}, "", err
	}
	client, err := moduleVersion(folder, "k8s.io/client-go")
	if err != nil {
		return program{}, "", err
	}
	// Version 0.37 of the client is Kubernetes 1.37's.
	minor := strings.TrimPrefix(semver.MajorMinor(client), "v0.")
	p = program{name: "helm", module: helmFolder, packages: []string{helmModule + "/cmd/helm"}, output: "helm", set: map[string]string{
		helmModule + "/internal/version.version":      version,
		helmModule + "/internal/version.gitTreeState": "clean",
	}}
	for _, pkg := range []string{"/pkg/lint/rules", "/pkg/chartutil"} {
		p.set[helmModule+pkg+".k8sVersionMajor"], p.set[helmModule+pkg+".k8sVersionMinor"] = "1", minor
	}
	return p, version, nil
}

// helm packs Helm's command as its publisher does.
func (b *builder) helm(ctx context.Context) error {
	p, version, err := b.helmProgram()
	if err != nil {
		return err
	}
	compiled, err := b.compile(ctx, p)
	if err != nil {
		return err
	}
	command := filepath.Join(compiled, p.output)
	recipe := &store.Recipe{}
	recipe.Add("layout", "1") // of the archive
	recipe.Add("version", version)
	if err := recipe.AddFile("helm", command); err != nil {
		return fmt.Errorf("describe helm: %w", err)
	}
	name := "helm-" + version + "-linux-amd64.tar.gz"
	dir, err := b.get(ctx, "helm-release", recipe, func(_ context.Context, dir string, _ *os.File) error {
		path := filepath.Join(dir, name)
		if err := writeTo(path, func(file io.Writer) error { return packHelm(file, command) }); err != nil {
			return err
		}
		return writeSums(path+".sha256sum", path)
	})
	if err != nil {
		return err
	}
	// The sum last: whoever finds it finds the file that it is of.
	for _, file := range []string{name, name + ".sha256sum"} {
		if err := place(filepath.Join(dir, file), b.out("mirror", helmMirror, file)); err != nil {
			return fmt.Errorf("place %s: %w", file, err)
		}
	}
	return nil
}

// packHelm writes the archive: one folder with the command in it.
func packHelm(to io.Writer, command string) error {
	file, err := os.Open(command)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(to)
	archive := tar.NewWriter(zipped)
	header := &tar.Header{Name: "linux-amd64/helm", Mode: 0o755, Size: info.Size(), ModTime: time.Unix(0, 0), Format: tar.FormatGNU}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return errors.Join(err, archive.Close(), zipped.Close())
}
