// Package archive stands in for Debian's archive, for a box that reaches no
// other: a few packages, in the layout and with the lists that apt asks for.
//
// It keeps the promise that apt on the box works as it does anywhere: lists are
// fetched, packages are chosen by name and checked against the lists. Only the
// signature is missing, so the box's source says that it trusts this archive.
package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Path is where the archive begins on its server.
const Path = "/debian/"

// Beside serves the archive that lies in dir below Path, and everything else
// with another handler.
func Beside(dir string, other http.Handler) http.Handler {
	files := http.StripPrefix(Path, http.FileServer(http.Dir(dir)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, Path) {
			files.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

// Write lays out an archive of the given packages in dir, for one suite.
func Write(dir, suite string, packages []string) error {
	lists := filepath.Join(dir, "dists", suite)
	binary := filepath.Join("main", "binary-amd64", "Packages")
	pool := filepath.Join(dir, "pool")
	for _, folder := range []string{filepath.Dir(filepath.Join(lists, binary)), pool} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
	}
	var list strings.Builder
	for _, from := range slices.Sorted(slices.Values(packages)) {
		stanza, err := add(from, pool)
		if err != nil {
			return fmt.Errorf("write archive: %s: %w", filepath.Base(from), err)
		}
		list.WriteString(stanza + "\n")
	}
	if err := os.WriteFile(filepath.Join(lists, binary), []byte(list.String()), 0o644); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if err := os.WriteFile(filepath.Join(lists, "Release"), []byte(release(suite, binary, list.String())), 0o644); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

// add copies a package into the pool and returns what the list says of it.
func add(from, pool string) (string, error) {
	control, err := exec.Command("dpkg-deb", "--field", from).Output()
	if err != nil {
		return "", fmt.Errorf("read package: %w", err)
	}
	source, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer source.Close()
	// apt names downloads with escapes that a web server would read as such.
	name := strings.ReplaceAll(filepath.Base(from), "%3a", "_")
	target, err := os.Create(filepath.Join(pool, name))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(target, sum), source)
	if err := errors.Join(err, target.Close()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s\nFilename: pool/%s\nSize: %d\nSHA256: %s\n", strings.TrimSpace(string(control)), name, size, hex.EncodeToString(sum.Sum(nil))), nil
}

// release vouches for the list. Its date is one that no box's clock is behind.
func release(suite, binary, list string) string {
	sum := sha256.Sum256([]byte(list))
	return fmt.Sprintf(`Origin: lab
Label: lab
Suite: stable
Codename: %s
Date: Thu, 01 Jan 2009 00:00:00 UTC
Architectures: amd64
Components: main
SHA256:
 %s %d %s
`, suite, hex.EncodeToString(sum[:]), len(list), binary)
}
