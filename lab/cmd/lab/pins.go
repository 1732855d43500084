package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// lockFile is where the installer notes what it fetched, beside its
// configuration.
const lockFile = "ssg-bootstrap.lock"

// dropStalePins removes the lock file when it pins other bytes than the mirror
// has. The lab's release of k3s changes with the lab, under the same version; a
// real one never does, and the installer is right to refuse it.
func dropStalePins(path, mirror string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read pins: %w", err)
	}
	stale, err := pinsDiffer(string(text), mirror)
	if err != nil || !stale {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("drop stale pins: %w", err)
	}
	return nil
}

// pinsDiffer compares what is pinned of k3s with the mirror's lists of digests.
// A release that the mirror does not have says nothing.
func pinsDiffer(lock, mirror string) (bool, error) {
	pin := regexp.MustCompile(`(?m)^  k3s/([^/\s]+)/([^/\s]+):\n    sha256: "([0-9a-f]{64})"$`)
	for _, m := range pin.FindAllStringSubmatch(lock, -1) {
		version, file, digest := m[1], m[2], m[3]
		sums, err := os.ReadFile(filepath.Join(mirror, "k3s-io", "k3s", "releases", "download", version, "sha256sum-amd64.txt"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read the mirror's digests: %w", err)
		}
		for line := range strings.Lines(string(sums)) {
			if f := strings.Fields(line); len(f) == 2 && f[1] == file && f[0] != digest {
				return true, nil
			}
		}
	}
	return false, nil
}
