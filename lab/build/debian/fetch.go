package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Fetch downloads the named packages for amd64 into dir, checked by apt against
// the archive's signature. What apt says goes to log.
func Fetch(ctx context.Context, sources string, packages []string, dir string, log io.Writer) error {
	return fetch(ctx, sources, append([]string{"download"}, packages...), dir, log)
}

// FetchAll downloads the named packages and all that they depend on, down to
// the C library, as for a system on which nothing is installed.
func FetchAll(ctx context.Context, sources string, packages []string, dir string, log io.Writer) error {
	if err := os.Mkdir(filepath.Join(dir, "partial"), 0o755); err != nil {
		return fmt.Errorf("fetch packages: %w", err)
	}
	install := []string{"install", "--yes", "--download-only", "--no-install-recommends", "-oDir::Cache::Archives=" + dir}
	return fetch(ctx, sources, append(install, packages...), dir, log)
}

func fetch(ctx context.Context, sources string, verb []string, dir string, log io.Writer) error {
	private, err := os.MkdirTemp("", "apt-")
	if err != nil {
		return fmt.Errorf("fetch packages: %w", err)
	}
	defer os.RemoveAll(private)
	options, err := configure(private, sources)
	if err != nil {
		return fmt.Errorf("fetch packages: %w", err)
	}
	if err := apt(ctx, dir, log, append(options, "update")); err != nil {
		return fmt.Errorf("update package lists: %w", err)
	}
	if err := apt(ctx, dir, log, append(options, verb...)); err != nil {
		return fmt.Errorf("download packages: %w", err)
	}
	return nil
}

// configure writes the sources and returns the options that keep apt inside
// private. The machine's own apt.conf.d stays in force: a proxy is set there.
func configure(private, sources string) ([]string, error) {
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(private, dir), 0o755); err != nil {
			return nil, err
		}
	}
	list := filepath.Join(private, "private.sources")
	if err := os.WriteFile(list, []byte(sources), 0o644); err != nil {
		return nil, err
	}
	options := []string{
		"-q",
		"-oDir::Etc::SourceList=" + list,
		"-oDir::Etc::SourceParts=-",
		"-oDir::Etc::PreferencesParts=-",
		"-oDir::State::Lists=" + filepath.Join(private, "lists"),
		"-oDir::State::status=/dev/null",
		"-oDir::Cache=" + filepath.Join(private, "cache"),
		"-oAPT::Architecture=amd64",
		"-oAPT::Architectures=amd64",
		"-oAPT::Update::Error-Mode=any",
		"-oAcquire::Languages=none",
		"-oAcquire::Retries=3",
	}
	// As root apt would drop to a user that may not read our folder.
	return append(options, "-oAPT::Sandbox::User=root"), nil
}

// Unpack extracts one package's files into dir.
func Unpack(ctx context.Context, deb, dir string) error {
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", filepath.Base(deb), err, out)
	}
	return nil
}

func apt(ctx context.Context, dir string, log io.Writer, args []string) error {
	command := exec.CommandContext(ctx, "apt-get", args...)
	command.Dir, command.Stdout, command.Stderr = dir, log, log
	return command.Run()
}
