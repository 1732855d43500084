package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// chunkSize is the length of the pieces whose hashes are compared: of a piece
// that a power cut tore, everything is sent again.
const chunkSize = 4 << 20

// uploads is where the parts of unfinished files wait for the next run.
func (c *Client) uploads() string { return path.Join(c.opts.StateDir, "uploads") }

// togetherFunc tells whether $1 and $2 lie on one file system.
const togetherFunc = `together() { set -- $(stat -c %d "$1" "$2"); [ "$1" = "$2" ]; }`

// probeScript tells what the box has of the file with the hash $2 and size $3
// that is to become $1: the file itself, or a part with the hash of each of
// its chunks, and how much room there is for the rest ("same" when the part
// lies on the file's own file system). It makes the part, and nothing else.
//
// What a broken connection left running may finish the file at any moment and
// take the part away: that is a failure here, and the next look finds the file.
// What arrived before a connection broke may still be on its way to the disk:
// waiting for it is cheaper than sending it again. As many bytes are hashed as
// were told, though there may be more by then.
const probeScript = `set -e
p=$4/$2.part
room() { set -- $(df -B1 --output=avail "$1"); echo "$2"; }
` + togetherFunc + `
if [ -f "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %s "$1")" = "$3" ] && [ "$(sha256sum <"$1")" = "$2  -" ]; then
	chmod "$5" "$1"
	echo have
	exit
fi
umask 077
[ -d "$4" ] || mkdir -p "$4"
[ -e "$p" ] || : >"$p"
d=${1%/*}; d=${d:-/}
while [ ! -d "$d" ]; do d=${d%/*}; d=${d:-/}; done
n=0
if [ -s "$p" ]; then n=$(stat -c %s "$p"); fi
if [ "$n" -gt 0 ]; then
	tries=25
	while sleep 0.2; m=$(stat -c %s "$p") && [ "$m" -gt "$n" ] && [ "$tries" -gt 0 ]; do n=$m; tries=$((tries - 1)); done
fi
[ -e "$p" ]
echo part "$n"
echo free "$(room "$4")"
if together "$4" "$d"; then echo there same; else echo there "$(room "$d")"; fi
if [ "$n" -gt 0 ]; then head -c "$n" "$p" | split -b 4194304 --filter='sha256sum'; fi`

// receiveScript writes stdin into the part $1/$2.part, for each pair of an
// offset and a length that follows $5, and finishes the file when the whole
// is right. dd writes at offsets: a writer left over from a connection that
// only half died can but write the right bytes to the right place. It does
// not make the part (nocreat), so that such a writer cannot bring back a part
// that became the file.
const receiveScript = `set -e
` + togetherFunc + `
p=$1/$2.part; to=$3; mode=$4; size=$5; shift 5
hash=${p##*/}; hash=${hash%.part}
while [ $# -gt 0 ]; do
	dd of="$p" bs=65536 seek="$1" count="$2" iflag=fullblock,count_bytes oflag=seek_bytes conv=notrunc,nocreat,fsync status=none
	echo at "$(($1 + $2))"
	shift 2
done
has=$(stat -c %s "$p")
if [ "$has" -lt "$size" ]; then echo short; exit; fi
if [ "$has" -gt "$size" ]; then truncate -s "$size" "$p"; fi
if [ "$(sha256sum <"$p")" != "$hash  -" ]; then echo differs; exit; fi
d=${to%/*}; d=${d:-/}
[ -d "$d" ] || mkdir -p "$d"
chmod "$mode" "$p"
if together "$p" "$d"; then
	sync "$p"
	mv -fT "$p" "$to"
else
	t=$d/.ssg-bootstrap.$hash
	cp -p "$p" "$t"
	sync "$t"
	mv -fT "$t" "$to"
	rm -f "$p"
fi
sync "$d"
echo done`

// Send brings a large file to the box.
func (c *Client) Send(ctx context.Context, b Blob, p Progress) (Sent, error) {
	start := time.Now()
	sent, err := c.send(ctx, b, p)
	sent.Took = time.Since(start)
	if err != nil {
		return sent, fmt.Errorf("send %s: %w", b.Path, err)
	}
	return sent, nil
}

func (c *Client) send(ctx context.Context, b Blob, p Progress) (Sent, error) {
	var sent Sent
	if err := c.mayChange(ctx); err != nil {
		return sent, err
	}
	f, err := os.Open(b.Local)
	if err != nil {
		return sent, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != b.Size {
		return sent, errors.Join(err, fmt.Errorf("%s is not %d bytes long", b.Local, b.Size))
	}
	if p == nil {
		p = func(int64, int64) {}
	}
	u := &upload{client: c, blob: b, file: f, progress: p, left: b.Size + 1}
	mayVanish := true
	for idle, differed := 0, 0; ; {
		before := u.left
		done, err := u.attempt(ctx)
		sent.Bytes, sent.Resumed = u.sent.Load(), u.resumed
		var lost *lostError
		switch {
		case err == nil && done:
			p(b.Size, b.Size)
			return sent, nil
		case err == nil:
			// The box has all bytes, and not the right ones: its disk, or a
			// part that lay about. The chunks' hashes find the place, once.
			if differed++; differed > 1 {
				return sent, fault.New(fault.DigestMismatch, "remove the local copy "+b.Local+" and run the same command again",
					"the file on the box is not what it should be, twice over")
			}
		case mayVanish && fault.CodeOf(err) == fault.CommandFailed:
			// What a broken connection or a killed run had begun went on on
			// the box and finished the file, so that the part vanished between
			// two looks at it. The next look finds the file, or the same
			// failure.
			mayVanish = false
			continue
		case !errors.As(err, &lost) || ctx.Err() != nil:
			return sent, err
		case u.left < before:
			// More of the file is there than at the break before this one.
			idle = 0
		default:
			if idle++; idle == attempts {
				return sent, linkLost("continue after a break", lost)
			}
		}
		mayVanish = true
	}
}

// upload is one Send over all its connections.
type upload struct {
	client   *Client
	blob     Blob
	file     *os.File
	progress Progress
	sent     atomic.Int64
	resumed  int64
	// left is how much the box lacked when it was last asked.
	left  int64
	begun bool
}

func (u *upload) mode() string { return fmt.Sprintf("%04o", u.blob.Mode.Perm()) }

// attempt asks what is there and sends the rest. It reports whether the file
// is in its place.
func (u *upload) attempt(ctx context.Context) (bool, error) {
	cn, err := u.client.live(ctx)
	if err != nil {
		return false, err
	}
	var out bytes.Buffer
	_, err = u.client.exec(ctx, cn, script{
		body: probeScript, root: true, stdout: &out, label: "look for " + u.blob.Path, changes: true,
		args: []string{u.blob.Path, u.blob.SHA256, strconv.FormatInt(u.blob.Size, 10), u.client.uploads(), u.mode()},
	})
	if err != nil {
		return false, err
	}
	there, err := parseProbe(out.String())
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", u.blob.Path, err)
	}
	if there.have {
		if !u.begun {
			u.resumed = u.blob.Size
		}
		return true, nil
	}
	missing, err := u.missing(there)
	if err != nil {
		return false, err
	}
	u.left = total(missing)
	if !u.begun {
		u.begun = true
		u.resumed = u.blob.Size - total(missing)
	}
	if err := u.fits(there, total(missing)); err != nil {
		return false, err
	}
	return u.transfer(ctx, cn, missing)
}

// probe is what the box has.
type probe struct {
	have bool
	part int64
	// free is the room beside the part, there the room beside the file or -1
	// when that is the same.
	free, there int64
	hashes      []string
}

func parseProbe(text string) (probe, error) {
	p := probe{there: -1}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		var err error
		switch {
		case f[0] == "have":
			p.have = true
		case len(f) == 2 && f[0] == "part":
			p.part, err = strconv.ParseInt(f[1], 10, 64)
		case len(f) == 2 && f[0] == "free":
			p.free, err = strconv.ParseInt(f[1], 10, 64)
		case len(f) == 2 && f[0] == "there" && f[1] == "same":
		case len(f) == 2 && f[0] == "there":
			p.there, err = strconv.ParseInt(f[1], 10, 64)
		case len(f) == 2 && len(f[0]) == 64:
			p.hashes = append(p.hashes, f[0])
		default:
			err = fmt.Errorf("strange line %q", line)
		}
		if err != nil {
			return probe{}, err
		}
	}
	return p, nil
}

// span is a part of a file.
type span struct{ offset, length int64 }

func total(spans []span) int64 {
	var n int64
	for _, s := range spans {
		n += s.length
	}
	return n
}

// missing compares the box's chunks with the local file's. A last chunk that
// is shorter than the local one counts as far as it goes.
func (u *upload) missing(there probe) ([]span, error) {
	var out []span
	for offset := int64(0); offset < u.blob.Size; offset += chunkSize {
		length := min(chunkSize, u.blob.Size-offset)
		good := int64(0)
		if n := int(offset / chunkSize); n < len(there.hashes) {
			has := min(chunkSize, there.part-offset)
			// A part longer than the file ends in somebody else's bytes.
			has = min(has, length)
			same, err := u.same(offset, has, there.hashes[n])
			if err != nil {
				return nil, err
			}
			if same {
				good = has
			}
		}
		if good < length {
			out = append(out, span{offset + good, length - good})
		}
	}
	return out, nil
}

func (u *upload) same(offset, length int64, hash string) (bool, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(u.file, offset, length)); err != nil {
		return false, fmt.Errorf("read %s: %w", u.blob.Local, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)) == hash, nil
}

// fits checks for room before the first byte is sent. A full disk found in
// the middle would cost the user an hour on a slow link.
func (u *upload) fits(there probe, need int64) error {
	if there.free < need {
		return u.full(u.client.opts.StateDir, need, there.free)
	}
	if there.there >= 0 && there.there < u.blob.Size {
		return u.full(path.Dir(u.blob.Path), u.blob.Size, there.there)
	}
	return nil
}

func (u *upload) full(where string, need, free int64) error {
	return &fault.Error{
		Code:     fault.DiskFull,
		Err:      fmt.Errorf("the box has no room for %s", u.blob.Path),
		Evidence: fmt.Sprintf("%d MiB are needed in %s, %d MiB are free", need>>20, where, free>>20),
		Next:     fmt.Sprintf("free %d MiB on the file system of %s (see `df -h %s` on the box), then run the same command again", (need-free)>>20+1, where, where),
	}
}

func (u *upload) transfer(ctx context.Context, cn *conn, missing []span) (bool, error) {
	args := []string{u.client.uploads(), u.blob.SHA256, u.blob.Path, u.mode(), strconv.FormatInt(u.blob.Size, 10)}
	readers := make([]io.Reader, len(missing))
	for i, s := range missing {
		args = append(args, strconv.FormatInt(s.offset, 10), strconv.FormatInt(s.length, 10))
		readers[i] = io.NewSectionReader(u.file, s.offset, s.length)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	src := &counting{r: io.MultiReader(readers...), u: u, have: u.blob.Size - total(missing), moved: make(chan struct{}, 1)}
	go src.watch(ctx, u.client.opts.SendStall, stop)
	var out bytes.Buffer
	_, err := u.client.exec(ctx, cn, script{
		body: receiveScript, args: args, root: true, stdin: src, stdout: &out, label: "receive " + u.blob.Path, changes: true,
	})
	if err != nil {
		if cause := context.Cause(ctx); fault.CodeOf(cause) == fault.LinkStalled {
			return false, cause
		}
		return false, err
	}
	lines := strings.Fields(out.String())
	return slices.Contains(lines, "done"), nil
}

// counting reads what is sent and tells how far it is. It is asked for the
// next block only when the link took the one before.
type counting struct {
	r     io.Reader
	u     *upload
	have  int64
	moved chan struct{}
}

func (s *counting) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.have += int64(n)
	s.u.sent.Add(int64(n))
	s.u.progress(s.have, s.u.blob.Size)
	select {
	case s.moved <- struct{}{}:
	default:
	}
	if err == io.EOF {
		close(s.moved)
	}
	return n, err
}

// watch gives up when the link is open and takes nothing. After the last byte
// it is the box that works, as long as it needs.
func (s *counting) watch(ctx context.Context, stall time.Duration, stop context.CancelCauseFunc) {
	t := time.NewTimer(stall)
	defer t.Stop()
	for {
		select {
		case _, more := <-s.moved:
			if !more {
				return
			}
			t.Reset(stall)
		case <-ctx.Done():
			return
		case <-t.C:
			stop(&fault.Error{
				Code: fault.LinkStalled,
				Err:  fmt.Errorf("the box took no byte for %s", stall),
			})
			return
		}
	}
}

// cleanScript removes the parts that are older than $2 days, and not those
// whose hashes follow.
const cleanScript = `set -e
cd "$1" 2>/dev/null || exit 0
days=$2; shift 2
for p in *.part; do
	[ -e "$p" ] || continue
	for keep in "$@"; do
		[ "$p" != "$keep.part" ] || continue 2
	done
	if [ -n "$(find "$p" -mtime "+$days")" ]; then rm -f "$p"; fi
done`

// CleanUploads removes what earlier runs left of uploads that nobody
// continued for the given number of days, except those of the given hashes.
func (c *Client) CleanUploads(ctx context.Context, days int, keep ...string) error {
	if err := c.mayChange(ctx); err != nil {
		return err
	}
	_, err := c.again(ctx, func() script {
		return script{body: cleanScript, root: true, label: "remove old uploads", changes: true, args: append([]string{c.uploads(), strconv.Itoa(days)}, keep...)}
	})
	return err
}
