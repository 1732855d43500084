package artifact

import (
	"context"
	"fmt"
	"strings"
)

// helmReleases knows where Helm's archives lie: at get.helm.sh, or below a
// mirror's address as
//
//	helm-VERSION-linux-amd64.tar.gz             and beside it the same with .sha256sum
type helmReleases struct{ base string }

func helmSource(mirror string) helmReleases {
	if mirror == "" {
		mirror = "https://get.helm.sh"
	}
	return helmReleases{strings.TrimRight(mirror, "/")}
}

// HelmTarball is the name of a release's archive.
func HelmTarball(version string) string { return "helm-" + version + "-linux-amd64.tar.gz" }

func (helmReleases) releases() string { return `^v[0-9]+\.[0-9]+\.[0-9]+$` }

// channels matches nothing: which Helm it is follows from the one that is part
// of this program.
func (helmReleases) channels() string { return `$.` }
func (helmReleases) example() string  { return "v3.22.0" }

func (h helmReleases) fileURL(_, file string) string { return h.base + "/" + escape(file) }

func (h helmReleases) sums(ref Ref) string { return h.fileURL(ref.Version, ref.File) + ".sha256sum" }

func (helmReleases) listed(_ Ref, text string) (map[string]string, error) { return parseSums(text) }

func (helmReleases) ask(_ context.Context, _ *Store, channel string) (string, error) {
	return "", fmt.Errorf("helm has no channel %q", channel)
}
