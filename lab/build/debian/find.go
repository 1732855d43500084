package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Keyring holds the keys of Debian's archive; the package debian-archive-keyring
// brings it, to Ubuntu as well.
const Keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Find returns sources for a suite of Debian: the machine's own where it is a
// Debian, and elsewhere those that mmdebstrap knows.
func Find(ctx context.Context, etc, suite string) (string, error) {
	own, err := Sources(etc, suite)
	if !errors.Is(err, ErrNoSources) {
		return own, err
	}
	known, askErr := ask(ctx, suite)
	if askErr != nil {
		return "", fmt.Errorf("%w, and mmdebstrap does not tell: %w", err, askErr)
	}
	return known, nil
}

// ask lets mmdebstrap begin a system, which begins with the sources, and stops
// it there: before it asks the network for anything.
func ask(ctx context.Context, suite string) (string, error) {
	dir, err := os.MkdirTemp("", "mmdebstrap-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	answer := filepath.Join(dir, "sources.list")
	out, err := exec.CommandContext(ctx, "mmdebstrap", "--mode=chrootless", "--variant=custom",
		`--setup-hook=cp "$1/etc/apt/sources.list" '`+answer+`'; exit 1`, suite, filepath.Join(dir, "tree")).CombinedOutput()
	content, readErr := os.ReadFile(answer)
	if readErr != nil {
		return "", fmt.Errorf("%w: %s", errors.Join(err, ctx.Err()), out)
	}
	return trusting(lines(string(content), suite, suite))
}

// trusting names the keys where mmdebstrap took them for known to apt: it asks
// gpg, which not every machine has.
func trusting(stanzas []string) (string, error) {
	if len(stanzas) == 0 {
		return "", errors.New("it names no archive")
	}
	for i, s := range stanzas {
		if !strings.Contains(s, "Signed-By:") {
			stanzas[i] = s + "Signed-By: " + Keyring + "\n"
		}
	}
	return strings.Join(stanzas, "\n"), nil
}
