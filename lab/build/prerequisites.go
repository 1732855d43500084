package build

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"

	"github.com/omkar619-dev/ssg-bootstrap/lab/workstation"
)

// prerequisites are the Debian packages that the builds call or link.
func prerequisites() []string {
	return []string{"ca-certificates", "gcc", "libc6-dev", "libseccomp-dev", "pkg-config"}
}

// Missing are the packages that the builds need and the machine lacks.
func Missing(ctx context.Context) []string {
	return slices.DeleteFunc(prerequisites(), func(name string) bool { return installed(ctx, name) })
}

// Prerequisites installs what the builds need and the machine lacks. It asks
// for nothing, and for no privilege, when nothing is missing.
func Prerequisites(ctx context.Context, log *slog.Logger) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("find the go command: %w: install Go, then run again", err)
	}
	missing := Missing(ctx)
	if len(missing) == 0 {
		return nil
	}
	return workstation.Here().Install(ctx, log, missing)
}

func installed(ctx context.Context, name string) bool {
	status, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status}", name).Output()
	return err == nil && string(status) == "installed"
}
