// Package host reaches one box over SSH.
//
// It keeps three promises. Planning cannot change the box: a Reader has no way
// to run or upload, and the one that planners get cannot be turned into a Host.
// Bytes that arrived are not sent again: uploads resume, also after the client
// was killed or the box lost power. Host keys are always checked.
package host

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"
)

// Command is one program with its arguments. There is no shell in between: what
// needs one says so, as in {"sh", "-c", script, "sh", arg…}. Argv is visible
// to every user of the box, so secrets go to Stdin.
type Command struct {
	Argv []string
	// Also are more arguments, after those of Argv. Queries that differ in
	// nothing else are run once by a Batch, with the arguments of all, and each
	// asker gets the whole answer: one process looks at everybody's files.
	Also []string
	// Root runs the command as root, through sudo unless the login is root.
	Root bool
	// Aside runs a query beside the others of its round trip instead of after
	// them. It is for what keeps one core of the box busy for longer than
	// another session takes to open.
	Aside bool
	// Stdin is the command's whole input; it is small and kept in memory.
	Stdin []byte
}

// String returns the command as a person would type it, for messages; of a
// whole script, which would bury the message, it returns the beginning.
func (c Command) String() string {
	const enough = 40
	argv := c.argv()
	words := make([]string, len(argv))
	for i, w := range argv {
		first, _, lines := strings.Cut(w, "\n")
		if words[i] = w; lines || len(w) > 3*enough {
			words[i] = strings.ToValidUTF8(first[:min(len(first), enough)], "") + "…"
		}
	}
	s := strings.Join(words, " ")
	if c.Root {
		s = "sudo " + s
	}
	return s
}

// argv is the whole command line.
func (c Command) argv() []string { return slices.Concat(c.Argv, c.Also) }

// Reader looks at a box and cannot change it.
type Reader interface {
	// Query runs a command that changes nothing and returns its standard
	// output. It may be run again after a reconnect, and together with other
	// queries in one round trip. An exit status other than 0 is a
	// *CommandError.
	Query(ctx context.Context, c Command) ([]byte, error)
	ManyReader
}

// ManyReader answers many queries in one round trip. The error is for the
// round trip as a whole; a command's own failure is in its Answer.
type ManyReader interface {
	QueryMany(ctx context.Context, cs []Command) ([]Answer, error)
}

// Answer is the outcome of one query of many.
type Answer struct {
	Out []byte
	Err error
}

// Host changes a box. Every method is safe to repeat after a lost connection,
// which is reported as fault.LinkLost once reconnecting failed or when it is
// not known whether the command ran.
type Host interface {
	Reader
	// Run runs a command that may change the box and returns its standard
	// output. It is never repeated behind the caller's back.
	Run(ctx context.Context, c Command) ([]byte, error)
	// Put writes small files in one round trip: temporary file, fsync, rename,
	// fsync of the folder. None takes its place before all are written, and
	// they do in their order. Missing parent folders are made, root-owned, 0755.
	Put(ctx context.Context, files ...File) error
	// Send brings a large file whose content is known by its hash, beginning
	// at the byte where an earlier attempt stopped, checks it on the box and
	// renames it into place.
	Send(ctx context.Context, b Blob, p Progress) (Sent, error)
	// Job runs long work as a transient systemd unit that survives the
	// connection and the client; a second call with the same name attaches to
	// the one that runs. seen is told of new output lines; it may be nil.
	Job(ctx context.Context, j Job, seen func(line string)) error
	// Dial connects from the box to an address that it can reach.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// File is a small file to be written whole.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content []byte
}

// Blob is a large local file to be brought to the box.
type Blob struct {
	// Local is the file on this computer, SHA256 its lower-case hex digest and
	// Size its length in bytes.
	Local  string
	SHA256 string
	Size   int64
	// Path is the absolute path on the box.
	Path string
	Mode fs.FileMode
}

// Progress is told how many bytes of total the box has; it is called often and
// must not block.
type Progress func(done, total int64)

// Sent says what one Send moved.
type Sent struct {
	// Resumed is how many bytes an earlier attempt had left on the box, Bytes
	// how many this one sent.
	Resumed, Bytes int64
	Took           time.Duration
}

// Job is long work on the box. Name is part of the unit's name
// (ssg-bootstrap-NAME.service) and identifies the work: same name, same work.
type Job struct {
	Name string
	Argv []string
	// Stall ends the wait when the unit prints nothing for so long; the unit
	// itself goes on. Zero waits as long as the unit runs.
	Stall time.Duration
}

// CommandError is a command that ran on the box and failed.
type CommandError struct {
	Command string
	Exit    int
	Stderr  string
}

// Error names the command and its exit status; the edge prints Stderr.
func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: exit status %d", e.Command, e.Exit)
}

// ReadOnly returns a Reader on h that cannot be turned back into a Host.
func ReadOnly(r Reader) Reader { return readOnly{r} }

type readOnly struct{ r Reader }

func (o readOnly) QueryMany(ctx context.Context, cs []Command) ([]Answer, error) {
	return o.r.QueryMany(ctx, cs)
}

func (o readOnly) Query(ctx context.Context, c Command) ([]byte, error) { return o.r.Query(ctx, c) }
