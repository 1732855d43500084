//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fakeRelease publishes a release whose k3s is random bytes of the given size,
// for the cases that are about moving it and never start it. It returns a
// client with an empty cache that installs this release, and its version.
func (b *box) fakeRelease(t *testing.T, version string, size int) (*client, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mirror")
	release := filepath.Join(dir, "k3s-io/k3s/releases/download", version)
	if err := os.MkdirAll(release, 0o755); err != nil {
		t.Fatal(err)
	}
	sum := writeRandom(t, filepath.Join(release, "k3s"), size)
	images := "k3s-airgap-images-amd64.tar.zst"
	imagesSum := writeRandom(t, filepath.Join(release, images), 1<<10)
	writeFile(t, filepath.Join(release, "sha256sum-amd64.txt"), fmt.Sprintf("%s  k3s\n%s  %s\n", sum, imagesSum, images))
	mirrorURL := serveMirror(t, dir)
	c := b.newClient(t, b.client.bin, mirrorURL)
	b.configure(t, c, mirrorURL, ownProfile(t, c, "moved", "description: Only to be moved.\nextends: core2duo-4gb\nk3s:\n  version: "+version+"\n"))
	return c, version
}

func writeRandom(t *testing.T, path string, size int) (sum string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	source := rand.NewChaCha8([32]byte{1, byte(size >> 20)})
	hash := sha256.New()
	block := make([]byte, 1<<20)
	for left := size; left > 0; left -= len(block) {
		block = block[:min(left, len(block))]
		_, _ = source.Read(block)
		hash.Write(block)
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// plainSSH runs OpenSSH's client through the link.
func (b *box) plainSSH(t *testing.T, command string) {
	t.Helper()
	out, err := exec.Command("ssh", "-F", "none", "-p", strconv.Itoa(b.link.Port()), "-i", b.guest.IdentityFile(),
		"-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile="+b.guest.KnownHostsFile(), "-o", "StrictHostKeyChecking=yes",
		"owner@127.0.0.1", command).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh: %v\n%s", err, strings.TrimSpace(string(out)))
	}
}
