package recovery

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
)

// snapshotStall is how long reading may be silent: it speaks every 64 MiB,
// which take an old disk that others use as well a minute.
const snapshotStall = 20 * time.Minute

// The folders below the box's.
const (
	// stage is what is being taken, base what the last backup took: from it
	// the box tells what differs. check is what a restore is proven with, and
	// in is what arrives for one.
	stage = "stage"
	base  = "base"
	check = "check"
	in    = "in"
)

// ready brings the tools.
func (b Box) ready(ctx context.Context) error {
	err := b.Host.Put(ctx,
		host.File{Path: b.at("pieces.pl"), Mode: 0o600, Content: piecesTool},
		host.File{Path: b.at("snapshot.sh"), Mode: 0o600, Content: snapshotScript},
	)
	if err != nil {
		return fmt.Errorf("bring the tools for backups: %w", err)
	}
	return b.sh(ctx, `chmod 700 "$1"`, b.folder())
}

// once tells one run's work from another's: what an earlier run had taken or put
// back is not what is asked for now, although the words are the same.
func once() string { return rand.Text() }

// snapshot lets the box copy the parts and cut them, as a job: the link may
// break meanwhile.
func (b Box) snapshot(ctx context.Context, into string, parts []string, note func(string)) error {
	job := host.Job{
		Name:  "backup",
		Argv:  []string{"sh", b.at("snapshot.sh"), b.folder(), into, b.Namespace, b.Release, strings.Join(parts, " "), b.Root, once()},
		Stall: snapshotStall,
	}
	return b.Host.Job(ctx, job, note)
}

// list asks for the pieces of one part; nil when the box has nothing of it.
func (b Box) list(ctx context.Context, from, part string) (vault.Index, error) {
	out, err := b.ask(ctx, `[ -e "$1" ] || exit 0; { cat "$1" || exit; } | { `+squeeze+`; }`, nil, b.at(from, part+".list"))
	if err != nil || len(out) == 0 {
		return nil, err
	}
	text, err := expand(out, 256<<20)
	if err != nil {
		return nil, err
	}
	return readList(text)
}

// request is one piece that is wanted, perhaps as a difference.
type request struct {
	piece vault.Piece
	// base is the piece that this computer has in its place.
	base *vault.Sum
}

// fetch brings pieces in one round trip.
func (b Box) fetch(ctx context.Context, from string, wanted []request) ([]frame, error) {
	var lines bytes.Buffer
	var most int64
	for _, r := range wanted {
		if r.base == nil {
			fmt.Fprintf(&lines, "w %s\n", r.piece.Sum)
		} else {
			fmt.Fprintf(&lines, "d %s %s\n", r.piece.Sum, *r.base)
		}
		most += r.piece.Size + 32
	}
	out, err := b.ask(ctx, `perl "$1" deliver "$2" "$3" | { `+squeeze+`; }`, lines.Bytes(), b.at("pieces.pl"), b.at(from, "pieces"), b.at(base, "pieces"))
	if err != nil {
		return nil, fmt.Errorf("fetch pieces: %w", err)
	}
	text, err := expand(out, most)
	if err != nil {
		return nil, fmt.Errorf("fetch pieces: %w", err)
	}
	return readFrames(text, len(wanted))
}

// keepAsBase makes what was taken the base of the next backup.
func (b Box) keepAsBase(ctx context.Context, from string) error {
	return b.sh(ctx, `rm -rf "$1" && mv "$2" "$1"`, b.at(base), b.at(from))
}

// missing are the pieces that the box has nowhere.
func (b Box) missing(ctx context.Context, x vault.Index) (map[vault.Sum]bool, error) {
	out, err := b.ask(ctx, `perl "$1" missing "$2" "$3"`, sums(x), b.at("pieces.pl"), b.at(in, "pieces"), b.at(base, "pieces"))
	if err != nil {
		return nil, fmt.Errorf("ask which pieces the box has: %w", err)
	}
	missing := map[vault.Sum]bool{}
	for line := range strings.Lines(string(out)) {
		s, err := vault.ParseSum(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("ask which pieces the box has: %w", err)
		}
		missing[s] = true
	}
	return missing, nil
}

// bring sends pieces in one round trip. It may be repeated.
func (b Box) bring(ctx context.Context, pieces [][]byte) (int64, error) {
	var frames bytes.Buffer
	for _, data := range pieces {
		fmt.Fprintf(&frames, "%s %d\n", vault.SumOf(data), len(data))
		frames.Write(data)
	}
	packed, err := pack(frames.Bytes())
	if err != nil {
		return 0, err
	}
	script := `mkdir -p "$2" && gzip -dc | perl "$1" receive "$2/pieces"`
	_, err = b.Host.Query(ctx, shell(script, packed, b.at("pieces.pl"), b.at(in)))
	return int64(len(packed)), err
}

// order says in which order the pieces of a part are put together. From then on
// all of them lie with what arrived: the backup of what is replaced is taken in
// between, and makes itself the base. It may be repeated.
func (b Box) order(ctx context.Context, part string, x vault.Index) error {
	script := `mkdir -p "$2" && perl "$1" keep "$2/pieces" "$3/pieces"`
	if _, err := b.Host.Query(ctx, shell(script, sums(x), b.at("pieces.pl"), b.at(in), b.at(base))); err != nil {
		return fmt.Errorf("keep the pieces of %s: %w", part, err)
	}
	return b.Host.Put(ctx, host.File{Path: b.at(in, part+".order"), Mode: 0o600, Content: sums(x)})
}

func sums(x vault.Index) []byte {
	var out bytes.Buffer
	for _, p := range x {
		fmt.Fprintf(&out, "%s\n", p.Sum)
	}
	return out.Bytes()
}

func shell(script string, stdin []byte, args ...string) host.Command {
	return host.Command{Argv: append([]string{"sh", "-c", "umask 077; " + script, "sh"}, args...), Root: true, Stdin: stdin}
}

// ask runs a script that changes nothing.
func (b Box) ask(ctx context.Context, script string, stdin []byte, args ...string) ([]byte, error) {
	return b.Host.Query(ctx, shell(script, stdin, args...))
}

func (b Box) sh(ctx context.Context, script string, args ...string) error {
	_, err := b.Host.Run(ctx, shell(script, nil, args...))
	return err
}
