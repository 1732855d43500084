package k3s

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// blob is a large file on the box. Hashing 80 MB takes an old CPU seconds, so
// its digest is recorded together with size, time and inode, and computed again
// only when one of these is no longer what it was.
type blob struct {
	path, record string
	mode         fs.FileMode
}

type blobState struct {
	// SHA256 is empty when the file is not there.
	SHA256 string
	// Recorded says that a record is there, Fresh that it is about this file.
	Recorded, Fresh bool
}

func (b blob) script() string {
	return "file=" + b.path + " record=" + b.record + `
recorded=
[ -r "$record" ] && read -r recorded <"$record" && echo "blob.recorded=yes"
if [ -f "$file" ]; then
	stamp=$(stat -c '%s %.9Y %i' "$file")
	case $recorded in
	"$stamp "*) echo "blob.fresh=yes" && echo "blob.sha256=${recorded##* }" ;;
	*) sha256sum "$file" | while read -r sum rest; do echo "blob.sha256=$sum"; done ;;
	esac
fi
`
}

func parseBlob(m map[string]string) blobState {
	return blobState{
		SHA256:   m["blob.sha256"],
		Recorded: m["blob.recorded"] == "yes",
		Fresh:    m["blob.fresh"] == "yes",
	}
}

func (b blob) diff(s blobState, want artifact.Artifact) []step.Change {
	record := step.Change{Verb: step.Update, Object: b.record, Why: "what was installed is noted"}
	send := step.Change{Verb: step.Send, Object: b.path, Bytes: want.Size}
	switch {
	case s.SHA256 == "":
		send.Why = "absent"
	case s.SHA256 != want.SHA256:
		send.Why = "is not " + want.Version
	case !s.Fresh:
		return []step.Change{record}
	default:
		return nil
	}
	return []step.Change{send, record}
}

func (b blob) send(ctx context.Context, r step.Run, want artifact.Artifact, local string) error {
	sent, err := r.Host.Send(ctx, host.Blob{
		Local: local, SHA256: want.SHA256, Size: want.Size, Path: b.path, Mode: b.mode,
	}, r.Progress)
	if err != nil {
		return fmt.Errorf("send %s: %w", b.path, err)
	}
	if sent.Resumed > 0 {
		r.Note(fmt.Sprintf("%d MB were on the box already", sent.Resumed/1e6))
	}
	return nil
}

const noteScript = `set -e
file=$1 record=$2 sum=$3
[ -d "${record%/*}" ] || mkdir -p "${record%/*}"
stamp=$(stat -c '%s %.9Y %i' "$file")
# A name of its own: after a lost connection an older one may still be at work.
new=$(mktemp "${record%/*}/.ssg-bootstrap.XXXXXXXX")
printf '%s %s\n' "$stamp" "$sum" >"$new"
sync "$new"
mv -f "$new" "$record"
`

// note records the file under the digest that it was just seen to have.
func (b blob) note(ctx context.Context, h host.Host, digest string) error {
	argv := []string{"sh", "-c", noteScript, "sh", b.path, b.record, digest}
	if _, err := h.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("note %s: %w", b.path, err)
	}
	return nil
}

// forgetDigest says that what lies on the disk is about to change: a k3s that
// starts from now on, until the digest is written again, does not know what it
// loaded.
func forgetDigest(ctx context.Context, h host.Host) error {
	if _, err := h.Run(ctx, host.Command{Argv: []string{"rm", "-f", digestPath}, Root: true}); err != nil {
		return fmt.Errorf("remove %s: %w", digestPath, err)
	}
	return nil
}
