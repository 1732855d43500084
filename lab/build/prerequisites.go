package build

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
)

// prerequisites are the Debian packages that the builds call or link.
func prerequisites() []string {
	return []string{"ca-certificates", "gcc", "libc6-dev", "libseccomp-dev", "pkg-config"}
}

// Prerequisites installs what the builds need and the machine lacks. It asks
// for nothing, and for no privilege, when nothing is missing.
func Prerequisites(ctx context.Context, log *slog.Logger) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("find the go command: %w: install Go, then run again", err)
	}
	var missing []string
	for _, name := range prerequisites() {
		if !installed(ctx, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	log.Info("installing packages", "names", strings.Join(missing, " "))
	if err := privileged(ctx, "apt-get", "-q", "update"); err != nil {
		return fmt.Errorf("update package lists: %w", err)
	}
	install := append([]string{"apt-get", "-q", "install", "--yes", "--no-install-recommends"}, missing...)
	if err := privileged(ctx, install...); err != nil {
		return fmt.Errorf("install %s: %w", strings.Join(missing, " "), err)
	}
	return nil
}

func installed(ctx context.Context, name string) bool {
	status, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status}", name).Output()
	return err == nil && string(status) == "installed"
}

// privileged runs a command as root, through sudo if need be.
func privileged(ctx context.Context, argv ...string) error {
	argv = append([]string{"env", "DEBIAN_FRONTEND=noninteractive"}, argv...)
	if os.Geteuid() != 0 {
		argv = append([]string{"sudo"}, argv...)
	}
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
