package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
)

// putScript writes files whose paths, modes and lengths follow $1 and whose
// contents follow each other on stdin, with $1 and a newline at their end. A
// connection that breaks gives the script the end of its input too early, so
// that end decides whether the files may take their places. Root makes them, so
// they are root's. $1 makes the names of the temporary files, and the number of
// arguments that are left tells those of one folder apart. The mode is set first,
// so that it is on the disk with the content. As few programs as can be are
// started: an old CPU takes milliseconds for each.
const putScript = `set -e
id=$1; shift
at() { d=${1%/*}; d=${d:-/}; t=$d/.ssg-bootstrap.$id.$#; }
each() { f=$1; shift; while [ $# -gt 0 ]; do at "$@"; $f "$@"; shift 3; done; }
folder() { [ -d "$d" ] || mkdir -p "$d"; }
write() {
	: >"$t"
	chmod "$2" "$t"
	dd of="$t" bs=65536 count="$3" iflag=fullblock,count_bytes conv=fsync status=none
}
land() { mv -fT "$t" "$1"; }
drop() { [ ! -e "$t" ] || rm -f "$t"; }
settle() {
	n=$# last=
	while [ "$n" -gt 0 ]; do
		at "$@"; shift 3; n=$((n - 3))
		[ "$d" = "$last" ] || set -- "$@" "$d"
		last=$d
	done
	sync "$@"
}
each folder "$@"
umask 077
trap 'each drop "$@"' EXIT
each write "$@"
read -r end && [ "$end" = "$id" ] || { echo "the content arrived incomplete" >&2; exit 74; }
each land "$@"
settle "$@"`

// Put writes small files.
func (c *Client) Put(ctx context.Context, files ...File) error {
	if len(files) == 0 {
		return nil
	}
	if err := c.mayChange(ctx); err != nil {
		return err
	}
	_, err := c.again(ctx, func() script {
		// A name of its own for each try: the one before may still be at work.
		id := newNonce().joined()
		args := []string{id}
		var contents []io.Reader
		for _, f := range files {
			args = append(args, f.Path, fmt.Sprintf("%04o", f.Mode.Perm()), strconv.Itoa(len(f.Content)))
			contents = append(contents, bytes.NewReader(f.Content))
		}
		contents = append(contents, bytes.NewReader([]byte(id+"\n")))
		return script{
			body: putScript, args: args, root: true, stdin: io.MultiReader(contents...), label: "write " + named(files), changes: true,
		}
	})
	return err
}

func named(files []File) string {
	if n := len(files) - 1; n > 0 {
		return fmt.Sprintf("%s and %d more", files[0].Path, n)
	}
	return files[0].Path
}
