package tailnet

import (
	"context"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// binary is tailscaled and its client. The tarball is checked on this computer
// and crosses the link as it is, because its programs take twice the bytes once
// they are unpacked; the box unpacks it, and each program is what was found in
// the tarball here or it does not take its place.
type binary struct{ release *release }

type binaryState struct {
	want artifact.Artifact
	// tarball is the digest of what the programs were unpacked from.
	tarball string
	// same says that the programs look as they did when they were installed.
	same bool
	// there says that there is a program at all.
	there bool
}

func (b binary) ID() step.ID      { return BinaryID }
func (b binary) Title() string    { return "Tailscale programs" }
func (b binary) Needs() []step.ID { return nil }
func (b binary) Lane() step.Lane  { return step.LaneLink }

// looksScript prints how the two programs look from outside.
const looksScript = `for f in ` + daemonPath + ` ` + clientPath + `; do
	if [ -L "$f" ]; then
		echo "$f link $(readlink "$f")"
	elif [ -f "$f" ]; then
		stat -c '%n %s %.9Y %i %a' "$f"
	fi
done
`

const binaryScript = `if [ -r ` + recordPath + ` ]; then
	while read -r line; do echo "record $line"; done <` + recordPath + `
fi
` + looksScript

func (b binary) Observe(ctx context.Context, r host.Reader) (binaryState, error) {
	want, err := b.release.tarball(ctx)
	if err != nil {
		return binaryState{}, err
	}
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", binaryScript, "sh"}, Root: true})
	if err != nil {
		return binaryState{}, err
	}
	s := parseBinary(string(out))
	s.want = want
	return s, nil
}

// parseBinary compares the record, whose first line is the tarball's digest,
// with how the programs look.
func parseBinary(out string) binaryState {
	var s binaryState
	var recorded, now []string
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		rest, isRecord := strings.CutPrefix(line, "record ")
		digest, isTarball := strings.CutPrefix(rest, "tarball ")
		switch {
		case isRecord && isTarball:
			s.tarball = digest
		case isRecord:
			recorded = append(recorded, rest)
		default:
			now = append(now, line)
		}
	}
	s.there = len(now) > 0
	s.same = len(now) == 2 && strings.Join(recorded, "\n") == strings.Join(now, "\n")
	return s
}

func (b binary) Diff(s binaryState) ([]step.Change, error) {
	if s.same && s.tarball == s.want.SHA256 {
		return nil, nil
	}
	send := step.Change{Verb: step.Send, Object: tarballPath, Bytes: s.want.Size, Why: "tailscale " + s.want.Version}
	unpack := step.Change{Verb: step.Create, Object: daemonPath + ", " + clientPath, Why: "absent"}
	switch {
	case s.there && s.tarball == "":
		unpack.Verb, unpack.Why, unpack.Foreign = step.Update, "installed by somebody else", true
	case s.tarball != "" && s.tarball != s.want.SHA256:
		unpack.Verb, unpack.Why = step.Update, "is not "+s.want.Version
	case s.there:
		unpack.Verb, unpack.Why = step.Update, "not as it was installed"
	}
	return []step.Change{send, unpack}, nil
}

// unpackScript takes a tarball, its digest, and what to make of it: each "file
// MEMBER SHA256 PATH" and "link PATH TARGET". Files land by write, check, sync
// and rename.
const unpackScript = `set -e
tgz=$1 tarball=$2; shift 2
while [ $# -gt 0 ]; do
	case $1 in
	file)
		member=$2 sum=$3 to=$4; shift 4
		new=$(mktemp "${to%/*}/.ssg-bootstrap.XXXXXXXX")
		tar -xzOf "$tgz" "$member" >"$new" || { rm -f "$new"; exit 1; }
		if [ "$(sha256sum <"$new")" != "$sum  -" ]; then
			rm -f "$new"
			echo "$to: what was unpacked is not what the tarball holds" >&2
			exit 1
		fi
		chmod 755 "$new"
		sync "$new"
		mv -fT "$new" "$to"
		sync "${to%/*}"
		;;
	link)
		ln -sfn "$3" "$2"; shift 3
		;;
	esac
done
new=$(mktemp ` + ourDir + `/.ssg-bootstrap.XXXXXXXX)
{
	echo "tarball $tarball"
` + looksScript + `} >"$new"
sync "$new"
mv -f "$new" ` + recordPath + `
rm -f "$tgz"
`

func (b binary) Apply(ctx context.Context, r step.Run, _ []step.Change) error {
	want, err := b.release.tarball(ctx)
	if err != nil {
		return err
	}
	local, c, err := b.release.fetch(ctx, want, r.Note)
	if err != nil {
		return err
	}
	if err := forgetDigest(ctx, r.Host); err != nil {
		return err
	}
	blob := host.Blob{Local: local, SHA256: want.SHA256, Size: want.Size, Path: tarballPath, Mode: 0o600}
	if _, err := r.Host.Send(ctx, blob, r.Progress); err != nil {
		return err
	}
	argv := []string{"sh", "-c", unpackScript, "sh", tarballPath, want.SHA256}
	for _, p := range c.files {
		argv = append(argv, "file", p.member, p.sha256, p.path)
	}
	for _, l := range c.links {
		argv = append(argv, "link", l.path, l.to)
	}
	if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("unpack tailscale %s: %w", want.Version, err)
	}
	return nil
}

// forgetDigest says that what lies on the disk is about to change: a tailscaled
// that starts from now on, until the digest is written again, does not know
// what it loaded.
func forgetDigest(ctx context.Context, h host.Host) error {
	if _, err := h.Run(ctx, host.Command{Argv: []string{"rm", "-f", digestPath}, Root: true}); err != nil {
		return fmt.Errorf("remove %s: %w", digestPath, err)
	}
	return nil
}
