package artifact

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

const (
	releasePattern = `^v[0-9]+\.[0-9]+\.[0-9]+(-[a-z]+[0-9]*)?\+k3s[0-9]+$`
	channelPattern = `^(stable|latest|testing|v[0-9]+\.[0-9]+)$`
	filePattern    = `^[A-Za-z0-9][A-Za-z0-9._+-]*$`

	// K3sSums is the release's own list of digests.
	K3sSums = "sha256sum-amd64.txt"
)

// source knows where k3s's releases lie.
//
// Without a mirror these are github.com and update.k3s.io, where k3s's own
// install script looks. A mirror stands in for both: below its address lie
//
//	k3s-io/k3s/releases/download/VERSION/FILE   with + written as %2B
//	v1-release/channels/CHANNEL                 redirecting to …/VERSION
type source struct{ files, channels string }

func k3sSource(mirror string) source {
	if mirror == "" {
		return source{files: "https://github.com", channels: "https://update.k3s.io"}
	}
	mirror = strings.TrimRight(mirror, "/")
	return source{files: mirror, channels: mirror}
}

func (s source) fileURL(version, file string) string {
	return s.files + "/k3s-io/k3s/releases/download/" + escape(version) + "/" + escape(file)
}

func (s source) channelURL(channel string) string {
	return s.channels + "/v1-release/channels/" + escape(channel)
}

// escape also escapes the plus, which some servers take for a space.
func escape(segment string) string {
	return strings.ReplaceAll(url.PathEscape(segment), "+", "%2B")
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

func checkRef(r Ref) error {
	switch {
	case r.Name != "k3s":
		return fmt.Errorf("there are no releases of %q here", r.Name)
	case !matches(releasePattern, r.Version) && !matches(channelPattern, r.Version):
		return fault.New(fault.UnknownVersion, "", "%q is neither a k3s release like v1.36.4+k3s1 nor a channel like stable", r.Version)
	case !matches(filePattern, r.File):
		return fmt.Errorf("%q is not a file of a release", r.File)
	}
	return nil
}

// askChannel returns the release that a channel points to: the last segment of
// where the channel server redirects to. That page itself is not needed.
func (s *Store) askChannel(ctx context.Context, channel string) (string, error) {
	at := s.source.channelURL(channel)
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
		if version := path.Base(next.Path); matches(releasePattern, version) {
			return version, nil
		}
		at = next.String()
	}
	return "", fetchError(at, fmt.Errorf("channel %s is redirected in circles", channel))
}
