package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

// Files that lead to a box.
const (
	sshConfigFile = "ssh_config"
	configFile    = "ssg-bootstrap.yaml"
	readyFile     = "READY"
)

// writeFiles writes what others need to reach the box. The default box's files
// are in the run folder itself as well.
func writeFiles(opened vm.Lab, guest *vm.Guest, info control.Info) error {
	for name, content := range map[string]string{
		sshConfigFile: sshConfig(guest, info),
		configFile:    bootstrapConfig(guest, info),
		readyFile:     fmt.Sprintf("ssh -F %s %s\n", pathOf(guest, sshConfigFile), guest.State().Name),
	} {
		if err := os.WriteFile(pathOf(guest, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if guest.State().Name != vm.DefaultName {
		return nil
	}
	for _, path := range []string{
		pathOf(guest, sshConfigFile), pathOf(guest, configFile), pathOf(guest, readyFile), pathOf(guest, "state.json"),
		guest.KnownHostsFile(), guest.IdentityFile(), guest.PasswordFile(), guest.Console(),
	} {
		if err := symlink(path, filepath.Join(opened.RunDir(), filepath.Base(path))); err != nil {
			return err
		}
	}
	return nil
}

// withdraw takes back the word that the box is there.
func withdraw(guest *vm.Guest) error {
	if err := os.Remove(pathOf(guest, readyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", readyFile, err)
	}
	return nil
}

func symlink(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link %s: %w", to, err)
	}
	target, err := filepath.Rel(filepath.Dir(to), from)
	if err != nil {
		return fmt.Errorf("link %s: %w", to, err)
	}
	if err := os.Symlink(target, to); err != nil {
		return fmt.Errorf("link %s: %w", to, err)
	}
	return nil
}

// sshConfig leads through the link, as the installer goes.
func sshConfig(guest *vm.Guest, info control.Info) string {
	return fmt.Sprintf(`Host %s
	HostName 127.0.0.1
	Port %d
	User %s
	IdentityFile %q
	IdentitiesOnly yes
	UserKnownHostsFile %q
	StrictHostKeyChecking yes
`, guest.State().Name, info.LinkPort, vm.User, guest.IdentityFile(), guest.KnownHostsFile())
}

// bootstrapConfig is the installer's configuration for the box.
func bootstrapConfig(guest *vm.Guest, info control.Info) string {
	return fmt.Sprintf(`# Written by the lab at each start of the box.
hosts:
  %s:
    address: 127.0.0.1
    port: %d
    user: %s
    identityFiles: [%q]
    knownHostsFile: %q
mirrors:
  k3s: %s
  helm: %[6]s/helm
%[9]s  registries:
    docker.io: %[7]s
    ghcr.io: %[7]s
%[8]s`, guest.State().Name, info.LinkPort, vm.User, guest.IdentityFile(), guest.KnownHostsFile(), info.Mirror, info.Registry, runnerConfig(info)+tailnetConfig(info), tailnetMirror(info))
}

// runnerConfig makes the box a runner of the owner's repository. The box and
// the workstation know the same GitHub by different addresses.
func runnerConfig(info control.Info) string {
	box := strings.TrimSuffix(vm.GitHubAddr, ":80")
	return fmt.Sprintf(`runner:
  repository: %s
  server: http://%s
  api: %s/api/v3
`, github.DefaultRepository, box, info.GitHub)
}
