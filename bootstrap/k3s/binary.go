package k3s

import (
	"context"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// binary is k3s itself and the commands that it answers to.
type binary struct {
	release *release
	blob    blob
	// older judges going back to an older version.
	older func(installed, wanted string) error
}

func newBinary(r *release, older func(installed, wanted string) error) binary {
	return binary{r, blob{path: binaryPath, record: binaryRecord, mode: 0o755}, older}
}

type binaryState struct {
	want artifact.Artifact
	blob blobState
	// installed is what the k3s that is there calls itself, asked only when
	// it is not the one that should be.
	installed string
	commands  map[string]bool
}

func commands() []string { return []string{"kubectl", "crictl", "ctr"} }

// A command counts as there wherever it is: the owner's kubectl is not
// replaced by ours.
const commandsScript = `for name in kubectl crictl ctr; do
	for dir in /usr/local/bin /usr/local/sbin /usr/bin /usr/sbin /bin /sbin; do
		if [ -x "$dir/$name" ]; then echo "command.$name=yes"; break; fi
	done
done
:
`

func (b binary) ID() step.ID      { return BinaryID }
func (b binary) Title() string    { return "k3s program" }
func (b binary) Needs() []step.ID { return nil }
func (b binary) Lane() step.Lane  { return step.LaneLink }

func (b binary) Observe(ctx context.Context, r host.Reader) (binaryState, error) {
	want, err := b.release.file(ctx, binaryFile)
	if err != nil {
		return binaryState{}, err
	}
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", b.blob.script() + commandsScript, "sh"}, Root: true})
	if err != nil {
		return binaryState{}, err
	}
	m := managed.Pairs(out)
	s := binaryState{want: want, blob: parseBlob(m), commands: map[string]bool{}}
	for _, name := range commands() {
		// The links point to the program, so they are dangling without it.
		s.commands[name] = m["command."+name] == "yes"
	}
	if s.blob.SHA256 != "" && s.blob.SHA256 != want.SHA256 {
		// What does not run, as a damaged file, has no version.
		version, err := r.Query(ctx, host.Command{Argv: []string{binaryPath, "--version"}})
		if err == nil {
			s.installed, _, _ = strings.Cut(string(version), "\n")
		}
	}
	return s, nil
}

func (b binary) Diff(s binaryState) ([]step.Change, error) {
	if err := b.older(s.installed, s.want.Version); err != nil {
		return nil, err
	}
	out := b.blob.diff(s.blob, s.want)
	if len(out) == 2 && s.blob.SHA256 != "" {
		if s.installed != "" {
			out[0].Why = s.installed + " → " + s.want.Version
		}
		// Without a record it was not us who put it there.
		out[0].Foreign = !s.blob.Recorded
	}
	for _, name := range commands() {
		if !s.commands[name] {
			out = append(out, step.Change{Verb: step.Create, Object: linkPath(name), Why: "link to k3s"})
		}
	}
	return out, nil
}

func linkPath(name string) string { return "/usr/local/bin/" + name }

func (b binary) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	want, err := b.release.file(ctx, binaryFile)
	if err != nil {
		return err
	}
	var links []string
	for _, c := range changes {
		switch {
		case c.Verb == step.Send:
			err = b.replace(ctx, r, want)
		case c.Object == b.blob.record:
			err = b.blob.note(ctx, r.Host, want.SHA256)
		case c.Verb == step.Create:
			links = append(links, c.Object)
		}
		if err != nil {
			return err
		}
	}
	return link(ctx, r.Host, links)
}

func (b binary) replace(ctx context.Context, r step.Run, want artifact.Artifact) error {
	local, err := b.release.fetch(ctx, want, r.Note)
	if err != nil {
		return err
	}
	if err := forgetDigest(ctx, r.Host); err != nil {
		return err
	}
	return b.blob.send(ctx, r, want, local)
}

func link(ctx context.Context, h host.Host, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	argv := append([]string{"sh", "-c", `set -e; for path; do ln -sfn ` + binaryPath + ` "$path"; done`, "sh"}, paths...)
	if _, err := h.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("link %s: %w", strings.Join(paths, ", "), err)
	}
	return nil
}
