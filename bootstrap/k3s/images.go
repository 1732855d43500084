package k3s

import (
	"context"
	"fmt"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// images is the release's own archive of system images. k3s imports what
// appears in the folder while it runs, so the server need not wait for it: on
// a slow link the server's first start and this transfer go side by side.
type images struct {
	release *release
	blob    blob
	names   Names
}

func newImages(r *release, n Names) images {
	return images{r, blob{path: imagesPath, record: imagesRecord, mode: 0o644}, n}
}

type imagesState struct {
	want  artifact.Artifact
	blob  blobState
	cache bool
}

func (i images) ID() step.ID     { return ImagesID }
func (i images) Title() string   { return "k3s system images" }
func (i images) Lane() step.Lane { return step.LaneLink }

// Needs lets what the server waits for cross the link first: the server's
// first start takes minutes, which these bytes have to travel in.
func (i images) Needs() []step.ID {
	if i.names == nil {
		return nil
	}
	return []step.ID{i.names.Sends()}
}

func (i images) Observe(ctx context.Context, r host.Reader) (imagesState, error) {
	want, err := i.release.file(ctx, imagesFile)
	if err != nil {
		return imagesState{}, err
	}
	script := i.blob.script() + "[ -e " + imagesCache + " ] && echo cache=yes\n:\n"
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", script, "sh"}, Root: true})
	if err != nil {
		return imagesState{}, err
	}
	m := managed.Pairs(out)
	return imagesState{want, parseBlob(m), m["cache"] == "yes"}, nil
}

func (i images) Diff(s imagesState) ([]step.Change, error) {
	var out []step.Change
	if !s.cache {
		// Without this file k3s imports every archive again at every start,
		// before the kubelet; it fills the file but never makes it.
		out = append(out, step.Change{Verb: step.Create, Object: imagesCache, Why: "spares the import at each start"})
	}
	return append(out, i.blob.diff(s.blob, s.want)...), nil
}

func (i images) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	want, err := i.release.file(ctx, imagesFile)
	if err != nil {
		return err
	}
	for _, c := range changes {
		switch {
		case c.Object == imagesCache:
			err = touch(ctx, r.Host, imagesCache)
		case c.Verb == step.Send:
			var local string
			if local, err = i.release.fetch(ctx, want, r.Note); err == nil {
				err = i.blob.send(ctx, r, want, local)
			}
		case c.Object == i.blob.record:
			err = i.blob.note(ctx, r.Host, want.SHA256)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// touch makes an empty file unless there is one.
func touch(ctx context.Context, h host.Host, path string) error {
	argv := []string{"sh", "-c", `mkdir -p "${1%/*}" && : >>"$1"`, "sh", path}
	if _, err := h.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}
