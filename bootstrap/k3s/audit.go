package k3s

import (
	"context"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// auditScript reads the large files whole, which a plan does not: a plan
// believes the record as long as size, time and inode are those of the record,
// and a disk that loses bits changes none of them.
const auditScript = `while [ $# -gt 0 ]; do
	if [ -f "$1" ] && [ -r "$2" ] && read -r recorded <"$2"; then
		sha256sum -- "$1" | while read -r sum rest; do echo "${recorded##* } $sum $1"; done
	fi
	shift 2
done
:
`

// Audit reads the large files that were installed and judges whether they still
// are what was installed. It finds nothing to say on a box without k3s.
func Audit(ctx context.Context, r host.Reader) ([]facts.Finding, error) {
	out, err := r.Query(ctx, host.Command{
		Argv: []string{"sh", "-c", auditScript, "sh", binaryPath, binaryRecord, imagesPath, imagesRecord}, Root: true,
	})
	if err != nil {
		return nil, fmt.Errorf("read the installed files: %w", err)
	}
	var found []facts.Finding
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("read the installed files: strange line %.80q", line)
		}
		if f[0] == f[1] {
			found = append(found, facts.Finding{Grade: facts.OK, Check: "k3s-files", Text: f[2] + " is what was installed"})
			continue
		}
		found = append(found, facts.Finding{
			Grade: facts.Warn, Check: "k3s-files", Text: f[2] + " is damaged: its content is not what was installed",
			// With another time the record is no longer about this file.
			Remedy: fmt.Sprintf("`sudo touch %s` on the box, then install again; look at the disk with `sudo smartctl -a`", f[2]),
		})
	}
	return found, nil
}
