package runner

import (
	"context"
	"fmt"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// HelmVersion is the Helm that jobs get: the one that is part of this program,
// so that both keep the release in the same way.
const HelmVersion = "v3.22.0"

// helm is the program with which jobs deploy, in a folder of our own: the
// owner's, if there is one, is not ours to replace.
type helm struct{ in Input }

type helmState struct {
	want artifact.Artifact
	// has is the digest of the archive that the program came from.
	has string
}

const helmScript = `file=$1 record=$2
[ -r "$record" ] && read -r recorded <"$record" && [ -x "$file" ] && case $recorded in "$(stat -c '%s %.9Y %i' "$file") "*) echo "has=${recorded##* }" ;; esac
:
`

func (helm) ID() step.ID        { return HelmID }
func (helm) Title() string      { return "Helm for jobs" }
func (h helm) Needs() []step.ID { return h.in.after() }
func (helm) Lane() step.Lane    { return step.LaneLink }

func (h helm) want(ctx context.Context) (artifact.Artifact, error) {
	ref := artifact.Ref{Name: "helm", Version: HelmVersion, File: artifact.HelmTarball(HelmVersion)}
	a, err := h.in.Store.Resolve(ctx, ref)
	if err != nil {
		return a, fmt.Errorf("look up helm %s: %w", HelmVersion, err)
	}
	return a, nil
}

func (h helm) Observe(ctx context.Context, r host.Reader) (helmState, error) {
	want, err := h.want(ctx)
	if err != nil {
		return helmState{}, err
	}
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", helmScript, "sh", helmPath, helmRecord}, Root: true})
	if err != nil {
		return helmState{}, fmt.Errorf("look at %s: %w", helmPath, err)
	}
	return helmState{want: want, has: managed.Pairs(out)["has"]}, nil
}

func (helm) Diff(s helmState) ([]step.Change, error) {
	if s.has == s.want.SHA256 {
		return nil, nil
	}
	why := "absent"
	if s.has != "" {
		why = "is not " + HelmVersion
	}
	return []step.Change{{Verb: step.Send, Object: helmPath, Why: why, Bytes: s.want.Size}}, nil
}

// unpackHelmScript puts the program in its place and forgets the archive.
const unpackHelmScript = `set -e
archive=$1 file=$2
mkdir -p "${file%/*}"
new=$(mktemp "${file%/*}/.ssg-bootstrap.XXXXXXXX")
tar -xzOf "$archive" linux-amd64/helm >"$new"
chmod 0755 "$new"
sync "$new"
mv -f "$new" "$file"
rm -f "$archive"
`

func (h helm) Apply(ctx context.Context, r step.Run, _ []step.Change) error {
	want, err := h.want(ctx)
	if err != nil {
		return err
	}
	if err := bring(ctx, r, h.in.Store, want, helmFile, helmRecord); err != nil {
		return err
	}
	argv := []string{"sh", "-c", unpackHelmScript + "sum=$3 record=$4\nset -- \"$file\" \"$record\" \"$sum\"\n" + noteScript, "sh", helmFile, helmPath, want.SHA256, helmRecord}
	if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("unpack helm: %w", err)
	}
	return nil
}
