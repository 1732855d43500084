package artifact

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

const filePattern = `^[A-Za-z0-9][A-Za-z0-9._+-]*$`

// source knows where one project's releases lie and what they look like.
type source interface {
	// releases is the pattern of what a release is called, channels that of a
	// channel.
	releases() string
	channels() string
	// example is one of each, for the sentence that refuses others.
	example() string
	fileURL(version, file string) string
	// sums is where a file's digest is listed.
	sums(ref Ref) string
	// listed reads digests out of that list, by the files' names.
	listed(ref Ref, text string) (map[string]string, error)
	// ask returns the release that a channel points to.
	ask(ctx context.Context, s *Store, channel string) (string, error)
}

// sources are the projects that there are releases of.
func sources(o Options) map[string]source {
	return map[string]source{"k3s": k3sSource(o.K3sMirror), "tailscale": tailscaleSource(o.TailscaleMirror), "helm": helmSource(o.HelmMirror)}
}

// releasePattern is what a project's releases are called; of a project that
// nobody knows there are none.
func releasePattern(project string) string {
	if s := sources(Options{})[project]; s != nil {
		return s.releases()
	}
	return `$.`
}

// escape also escapes the plus, which some servers take for a space.
func escape(segment string) string {
	return strings.ReplaceAll(url.PathEscape(segment), "+", "%2B")
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// source returns where the project's releases lie.
func (s *Store) source(name string) (source, error) {
	if src := s.sources[name]; src != nil {
		return src, nil
	}
	return nil, fmt.Errorf("there are no releases of %q here", name)
}

func (s *Store) checkRef(r Ref) error {
	src, err := s.source(r.Name)
	switch {
	case err != nil:
		return err
	case !matches(src.releases(), r.Version) && !matches(src.channels(), r.Version):
		return fault.New(fault.UnknownVersion, "", "%q is neither a %s release nor a channel, like %s", r.Version, r.Name, src.example())
	case !matches(filePattern, r.File):
		return fmt.Errorf("%q is not a file of a release", r.File)
	}
	return nil
}
