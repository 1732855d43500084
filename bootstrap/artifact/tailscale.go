package artifact

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// tailscaleReleases knows where Tailscale's static tarballs lie: at pkgs.tailscale.com,
// or below a mirror's address as
//
//	stable/tailscale_VERSION_amd64.tgz          and beside it the same with .sha256
//	stable/?mode=json                           the index, which names the newest
type tailscaleReleases struct{ base string }

func tailscaleSource(mirror string) tailscaleReleases {
	if mirror == "" {
		mirror = "https://pkgs.tailscale.com"
	}
	return tailscaleReleases{strings.TrimRight(mirror, "/")}
}

// TailscaleTarball is the name of a release's static tarball.
func TailscaleTarball(version string) string { return "tailscale_" + version + "_amd64.tgz" }

func (tailscaleReleases) releases() string { return `^[0-9]+\.[0-9]+\.[0-9]+$` }
func (tailscaleReleases) channels() string { return `^stable$` }
func (tailscaleReleases) example() string  { return "1.102.5 or stable" }

func (t tailscaleReleases) fileURL(_, file string) string { return t.base + "/stable/" + escape(file) }

func (t tailscaleReleases) sums(ref Ref) string { return t.fileURL(ref.Version, ref.File) + ".sha256" }

// listed reads a list of one digest, which need not name its file.
func (tailscaleReleases) listed(ref Ref, text string) (map[string]string, error) {
	if digest := strings.TrimSpace(text); matches(`^[0-9a-f]{64}$`, digest) {
		return map[string]string{ref.File: digest}, nil
	}
	return parseSums(text)
}

// ask reads the newest release from the index.
func (t tailscaleReleases) ask(ctx context.Context, s *Store, channel string) (string, error) {
	at := t.base + "/" + escape(channel) + "/?mode=json"
	text, err := s.get(ctx, at)
	if err != nil {
		return "", err
	}
	version, err := parseIndex(text)
	if err != nil {
		return "", fetchError(at, err)
	}
	return version, nil
}

// parseIndex finds the release in an index, and that it has a tarball for us.
func parseIndex(text string) (string, error) {
	var index struct {
		Tarballs        map[string]string
		TarballsVersion string
	}
	if err := json.Unmarshal([]byte(text), &index); err != nil {
		return "", fmt.Errorf("this is not Tailscale's index: %w", err)
	}
	version := index.TarballsVersion
	if !matches(tailscaleReleases{}.releases(), version) {
		return "", fmt.Errorf("the index names no release (%.40q)", version)
	}
	if file := index.Tarballs["amd64"]; file != TailscaleTarball(version) {
		return "", fmt.Errorf("the index names %.60q for amd64, where %s is expected", file, TailscaleTarball(version))
	}
	return version, nil
}
