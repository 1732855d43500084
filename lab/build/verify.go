package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Verify imports the archive of images into a containerd that was built here
// and runs nothing else, and fails unless each image is complete and unpacked.
// It needs root: unpacking makes files of other users.
func Verify(ctx context.Context, log *slog.Logger, to io.Writer) error {
	b, err := open(log)
	if err != nil {
		return err
	}
	archive, err := b.airgap(ctx)
	if err != nil {
		return err
	}
	planned, err := b.planImages(ctx)
	if err != nil {
		return err
	}
	root, err := os.MkdirTemp("", "containerd-")
	if err != nil {
		return fmt.Errorf("verify images: %w", err)
	}
	defer os.RemoveAll(root)
	stop, err := b.startContainerd(ctx, root)
	if err != nil {
		return fmt.Errorf("verify images: %w", err)
	}
	defer stop()
	if err := b.importArchive(ctx, root, archive); err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	report, err := b.ctr(ctx, root, "images", "check").Output()
	if err != nil {
		return fmt.Errorf("check images: %w", err)
	}
	fmt.Fprintf(to, "%s", report)
	return checkReport(string(report), planned)
}

// importArchive decompresses on the way in, as k3s does: the importer takes a plain tar.
func (b *builder) importArchive(ctx context.Context, root, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := zstd.NewReader(file)
	if err != nil {
		return err
	}
	defer plain.Close()
	command := b.ctr(ctx, root, "images", "import", "--local", "-")
	command.Stdin = plain
	return command.Run()
}

// checkReport looks for each image in what `ctr images check` printed.
func checkReport(report string, planned []plannedImage) error {
	var errs []error
	for _, p := range planned {
		errs = append(errs, checkLine(report, p.name))
	}
	return errors.Join(errs...)
}

func checkLine(report, name string) error {
	for line := range strings.Lines(report) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != name {
			continue
		}
		if !strings.Contains(line, " complete ") || fields[len(fields)-1] != "true" {
			return fmt.Errorf("%s was imported, but is not complete and unpacked: %s", name, strings.TrimSpace(line))
		}
		return nil
	}
	return fmt.Errorf("%s was not imported", name)
}

func (b *builder) startContainerd(ctx context.Context, root string) (stop func(), err error) {
	config := filepath.Join(root, "config.toml")
	if err := os.WriteFile(config, []byte("version = 3\ndisabled_plugins = [\"io.containerd.cri.v1.runtime\", \"io.containerd.cri.v1.images\"]\n"), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(root, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	daemon := exec.Command(b.out("bin", "containerd"), "--config", config,
		"--root", filepath.Join(root, "root"), "--state", filepath.Join(root, "state"), "--address", address(root))
	daemon.Stdout, daemon.Stderr = log, log
	// Mounts made while unpacking are the daemon's own and go with it.
	daemon.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	stop = func() {
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
	}
	if err := b.awaitContainerd(ctx, root); err != nil {
		stop()
		content, readErr := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("start containerd: %w: %s", err, content), readErr)
	}
	return stop, nil
}

func (b *builder) awaitContainerd(ctx context.Context, root string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := b.ctr(ctx, root, "version").Run()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// ctr prepares a command; an error of it ends with what it printed.
func (b *builder) ctr(ctx context.Context, root string, args ...string) *client {
	command := exec.CommandContext(ctx, b.out("bin", "ctr"), append([]string{"--address", address(root), "--namespace", "k8s.io"}, args...)...)
	return &client{Cmd: command}
}

type client struct{ *exec.Cmd }

func (c *client) Run() error {
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func address(root string) string { return filepath.Join(root, "socket") }
