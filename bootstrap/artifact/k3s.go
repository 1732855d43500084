package artifact

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
)

// K3sSums is the release's own list of digests.
const K3sSums = "sha256sum-amd64.txt"

// k3sReleases knows where k3s's releases lie.
//
// Without a mirror these are github.com and update.k3s.io, where k3s's own
// install script looks. A mirror stands in for both: below its address lie
//
//	k3s-io/k3s/releases/download/VERSION/FILE   with + written as %2B
//	v1-release/channels/CHANNEL                 redirecting to …/VERSION
type k3sReleases struct{ files, updates string }

func k3sSource(mirror string) k3sReleases {
	if mirror == "" {
		return k3sReleases{files: "https://github.com", updates: "https://update.k3s.io"}
	}
	mirror = strings.TrimRight(mirror, "/")
	return k3sReleases{files: mirror, updates: mirror}
}

func (k3sReleases) releases() string { return `^v[0-9]+\.[0-9]+\.[0-9]+(-[a-z]+[0-9]*)?\+k3s[0-9]+$` }
func (k3sReleases) channels() string { return `^(stable|latest|testing|v[0-9]+\.[0-9]+)$` }
func (k3sReleases) example() string  { return "v1.36.4+k3s1 or stable" }

func (k k3sReleases) fileURL(version, file string) string {
	return k.files + "/k3s-io/k3s/releases/download/" + escape(version) + "/" + escape(file)
}

func (k k3sReleases) sums(ref Ref) string { return k.fileURL(ref.Version, K3sSums) }

func (k3sReleases) listed(_ Ref, text string) (map[string]string, error) { return parseSums(text) }

// ask returns the release that a channel points to: the last segment of where
// the channel server redirects to. That page itself is not needed.
func (k k3sReleases) ask(ctx context.Context, s *Store, channel string) (string, error) {
	at := k.updates + "/v1-release/channels/" + escape(channel)
	stop := *s.http
	stop.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	const hops = 5
	for range hops {
		resp, err := s.ask(ctx, &stop, http.MethodGet, at, nil)
		if err != nil {
			return "", err
		}
		resp.Body.Close()
		next, err := resp.Location()
		if err != nil {
			return "", fetchError(at, fmt.Errorf("channel %s is not redirected to a release (%s)", channel, resp.Status))
		}
		if version := path.Base(next.Path); matches(k.releases(), version) {
			return version, nil
		}
		at = next.String()
	}
	return "", fetchError(at, fmt.Errorf("channel %s is redirected in circles", channel))
}
