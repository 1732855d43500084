package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/debian"
	"github.com/omkar619-dev/ssg-bootstrap/lab/workstation"
)

// programs are what the lab runs, and the Debian packages that bring them.
func programs() map[string]string {
	return map[string]string{
		"mmdebstrap": "mmdebstrap",
		"mke2fs":     "e2fsprogs",
		"qemu-img":   "qemu-utils",
		"ssh":        "openssh-client",
		carrier:      "socat",
	}
}

// Missing are the packages that the lab needs and the machine lacks, all that
// come from where the machine's packages come from.
func Missing() []string {
	var missing []string
	for program, name := range programs() {
		if !installed(program) {
			missing = append(missing, name)
		}
	}
	// Other releases than Debian do not trust its archive by themselves.
	if _, err := os.Stat(debian.Keyring); err != nil {
		missing = append(missing, "debian-archive-keyring")
	}
	if !installed(emulator) && !bookworm() {
		missing = append(missing, emulatorPackages()...)
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// prerequisites installs what is missing. A workstation that has everything is
// not asked for its sudo password.
func (l Lab) prerequisites(ctx context.Context) error {
	if missing := Missing(); len(missing) > 0 {
		if err := workstation.Here().Install(ctx, l.Log, missing); err != nil {
			return err
		}
	}
	if !installed(emulator) {
		return l.installEmulator(ctx)
	}
	return nil
}

// installed also looks where an ordinary user's PATH does not lead.
func installed(program string) bool {
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	_, err := os.Stat(filepath.Join("/usr/sbin", program))
	return err == nil
}

func emulatorPackages() []string {
	return []string{"qemu-system-x86", "qemu-utils", "seabios", "ipxe-qemu"}
}

// bookworm tells whether this is Debian 12, whose own emulator cannot run a box
// on two threads.
func bookworm() bool {
	release, err := os.ReadFile("/etc/os-release")
	return err == nil && regexp.MustCompile(`(?m)^VERSION_CODENAME="?bookworm"?$`).Match(release)
}

// installEmulator takes QEMU from backports on Debian 12, and the distribution's
// elsewhere.
func (l Lab) installEmulator(ctx context.Context) error {
	if bookworm() {
		err := l.installBackport(ctx, emulatorPackages())
		if err == nil || ctx.Err() != nil {
			return err
		}
		l.Log.Warn("QEMU cannot be had from backports; Debian 12's own will emulate on one thread, half as fast", "err", err)
	}
	return workstation.Here().Install(ctx, l.Log, emulatorPackages())
}

// installBackport gives apt the machine's own sources with backports added, for
// this one run: the machine's configuration stays as it is.
func (l Lab) installBackport(ctx context.Context, packages []string) error {
	own, err := debian.Sources("/etc", "bookworm")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lab-apt-")
	if err != nil {
		return fmt.Errorf("install QEMU: %w", err)
	}
	// As root apt leaves files of its own there.
	defer func() { _ = workstation.Here().AsRoot(context.WithoutCancel(ctx), "rm", "-rf", dir).Run() }()
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("install QEMU: %w", err)
	}
	list := filepath.Join(dir, "backports.sources")
	if err := os.WriteFile(list, []byte(withBackports(own, "bookworm")), 0o644); err != nil {
		return fmt.Errorf("install QEMU: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		return fmt.Errorf("install QEMU: %w", err)
	}
	return workstation.Here().Install(ctx, l.Log, packages,
		"-oDir::Etc::SourceList="+list,
		"-oDir::Etc::SourceParts=-",
		"-oDir::State::Lists="+filepath.Join(dir, "lists"),
		"-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache=",
		// Otherwise the lists folder's owner would have to be apt's own user.
		"-oAPT::Sandbox::User=root",
		"-oAPT::Default-Release=bookworm-backports",
	)
}

// withBackports adds the suite to each stanza that has the release itself.
func withBackports(sources, codename string) string {
	line := regexp.MustCompile(`(?m)^Suites:(.* )?` + codename + `( .*)?$`)
	return line.ReplaceAllString(sources, "$0 "+codename+"-backports")
}
