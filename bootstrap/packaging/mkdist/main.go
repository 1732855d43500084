// Command mkdist builds the program for every kind of workstation and packs it.
// It keeps the promise of package packaging, that two runs make the same bytes.
//
//	mkdist FOLDER NFPM…
//
// FOLDER is emptied first; NFPM is the command line that runs nfpm. The variable
// TARGETS, such as "linux/amd64 darwin/arm64", restricts it to some targets.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cli/reference"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/packaging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkdist:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: mkdist FOLDER NFPM…")
	}
	folder, nfpm := args[0], args[1:]
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mkdist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	var files []packaging.File
	targets, err := packaging.ParseTargets(os.Getenv("TARGETS"))
	if err != nil {
		return err
	}
	for _, t := range targets {
		made, err := target(ctx, t, filepath.Join(scratch, t.OS+"-"+t.Arch), nfpm)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		files = append(files, made...)
	}
	slices.SortFunc(files, func(a, b packaging.File) int { return strings.Compare(a.Path, b.Path) })
	files = append(files, packaging.File{Path: "SHA256SUMS", Mode: 0o644, Data: packaging.Sums(files)})
	return write(folder, files)
}

// target makes all files of one kind of workstation.
func target(ctx context.Context, t packaging.Target, scratch string, nfpm []string) ([]packaging.File, error) {
	fmt.Fprintf(os.Stderr, "building for %s\n", t)
	b, err := build(ctx, t, filepath.Join(scratch, t.Binary()))
	if err != nil {
		return nil, err
	}
	p, err := papers(b)
	if err != nil {
		return nil, err
	}
	archive, err := packaging.Archive(b, packaging.Portable(b, p))
	if err != nil {
		return nil, err
	}
	sbom, err := packaging.SBOM(b)
	if err != nil {
		return nil, err
	}
	out := []packaging.File{archive, sbom}
	if t.OS == "linux" {
		deb, err := debian(ctx, b, p, scratch, nfpm)
		if err != nil {
			return nil, err
		}
		out = append(out, deb)
	}
	return out, nil
}

func build(ctx context.Context, t packaging.Target, path string) (packaging.Build, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags", "-s -w", "-o", path, "./cmd/ssg-bootstrap")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.OS, "GOARCH="+t.Arch, "GOAMD64=v1", "GOARM64=v8.0")
	if err := say(cmd); err != nil {
		return packaging.Build{}, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return packaging.Build{}, err
	}
	return packaging.ReadBuild(t, path, data)
}

func papers(b packaging.Build) (packaging.Papers, error) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		return packaging.Papers{}, err
	}
	manual, err := reference.Manual(b.Time.Unix())
	if err != nil {
		return packaging.Papers{}, err
	}
	completions, err := reference.Completions()
	return packaging.Papers{Readme: readme, Manual: manual, Completions: completions}, err
}

func debian(ctx context.Context, b packaging.Build, p packaging.Papers, scratch string, nfpm []string) (packaging.File, error) {
	files, err := packaging.Installed(b, p)
	if err != nil {
		return packaging.File{}, err
	}
	root := filepath.Join(scratch, "root")
	if err := write(root, files); err != nil {
		return packaging.File{}, err
	}
	config, err := packaging.Debian(b, root, files)
	if err != nil {
		return packaging.File{}, err
	}
	described, made := filepath.Join(scratch, "nfpm.yaml"), filepath.Join(scratch, b.DebianName())
	if err := os.WriteFile(described, config, 0o644); err != nil {
		return packaging.File{}, err
	}
	cmd := exec.CommandContext(ctx, nfpm[0], append(nfpm[1:], "package", "--config", described, "--packager", "deb", "--target", made)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.Time.Unix()))
	if err := say(cmd); err != nil {
		return packaging.File{}, err
	}
	data, err := os.ReadFile(made)
	return packaging.File{Path: b.DebianName(), Mode: 0o644, Data: data}, err
}

// say runs a command and shows what it printed only if it fails.
func say(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", cmd, err, out)
	}
	return nil
}

func write(folder string, files []packaging.File) error {
	for _, f := range files {
		path := filepath.Join(folder, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Data, os.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	return nil
}
