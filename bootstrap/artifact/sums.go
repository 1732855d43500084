package artifact

import (
	"fmt"
	"regexp"
	"strings"
)

// sumPattern is what sha256sum writes: digest, a space, a space or an asterisk
// (binary mode), and the name.
const sumPattern = `^([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._+-]*)$`

// parseSums reads a release's list of digests. It is strict: a line that is
// anything else means that this is not the list, but perhaps the page of a
// captive portal.
func parseSums(text string) (map[string]string, error) {
	pattern := regexp.MustCompile(sumPattern)
	sums := make(map[string]string)
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d is not a digest and a file's name", i+1)
		}
		digest, file := m[1], m[2]
		if other, twice := sums[file]; twice && other != digest {
			return nil, fmt.Errorf("line %d gives %s a second digest", i+1, file)
		}
		sums[file] = digest
	}
	return sums, nil
}
