package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// archive is the runner's program as GitHub packs it. It is the last thing on
// the link, and there only where a runner is to be registered: one that is
// online updates itself.
type archive struct {
	in      Input
	answers *answers
}

func (archive) ID() step.ID        { return ArchiveID }
func (archive) Title() string      { return "Runner's program" }
func (a archive) Needs() []step.ID { return a.in.after(HelmID) }
func (archive) Lane() step.Lane    { return step.LaneLink }

func (a archive) Observe(ctx context.Context, r host.Reader) (seen, error) {
	l, err := look(ctx, r)
	if err != nil {
		return seen{}, err
	}
	return a.answers.see(ctx, l)
}

func (a archive) Diff(s seen) ([]step.Change, error) {
	if !s.verdict.register || s.local.archive == s.offer.SHA256 {
		return nil, nil
	}
	why := "the runner " + s.offer.Version + " is to be registered"
	return []step.Change{{Verb: step.Send, Object: archivePath, Why: why, Bytes: s.offer.file.Size}}, nil
}

func (a archive) Apply(ctx context.Context, r step.Run, _ []step.Change) error {
	o, err := a.answers.offered(ctx)
	if err != nil {
		return err
	}
	return bring(ctx, r, a.in.Store, o.file, archivePath, archiveRecord)
}

// bring fetches a file and sends it, and notes its digest together with what
// tells whether it is still the same file.
func bring(ctx context.Context, r step.Run, store Store, a artifact.Artifact, to, record string) error {
	local, err := store.Fetch(ctx, a, told(r.Note, a.File))
	if err != nil {
		return fmt.Errorf("fetch %s: %w", a.File, err)
	}
	sent, err := r.Host.Send(ctx, host.Blob{Local: local, SHA256: a.SHA256, Size: a.Size, Path: to, Mode: 0o644}, r.Progress)
	if err != nil {
		return err
	}
	if sent.Resumed > 0 && sent.Resumed < a.Size {
		r.Note(fmt.Sprintf("%d MB were on the box already", sent.Resumed/1e6))
	}
	argv := []string{"sh", "-c", noteScript, "sh", to, record, a.SHA256}
	if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("note %s: %w", to, err)
	}
	return nil
}

// told reports a download now and then; one that is in the cache is there
// before there is anything to tell.
func told(note func(string), file string) host.Progress {
	const pause = 3 * time.Second
	last := time.Now()
	return func(done, total int64) {
		if total > 0 && time.Since(last) >= pause {
			last = time.Now()
			note(fmt.Sprintf("fetching %s to this computer: %d %%", file, done*100/total))
		}
	}
}

const noteScript = `set -e
file=$1 record=$2 sum=$3
mkdir -p "${record%/*}"
new=$(mktemp "${record%/*}/.ssg-bootstrap.XXXXXXXX")
printf '%s %s\n' "$(stat -c '%s %.9Y %i' "$file")" "$sum" >"$new"
sync "$new"
mv -f "$new" "$record"
`
