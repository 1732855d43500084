package host

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// putScript writes stdin to $1 with mode $2 if it has $3 bytes. A connection
// that breaks gives the script the end of its input too early, so the length
// decides whether the file may take its place. Root makes the file, so it is
// root's.
const putScript = `set -e
d=${1%/*}; d=${d:-/}
mkdir -p "$d"
umask 077
t=$(mktemp "$d/.ssg-bootstrap.XXXXXXXX")
trap 'rm -f "$t"' EXIT
cat >"$t"
[ "$(stat -c %s "$t")" = "$3" ] || { echo "the content arrived incomplete" >&2; exit 74; }
chmod "$2" "$t"
sync "$t"
mv -fT "$t" "$1"
sync "$d"`

// Put writes a small file.
func (c *Client) Put(ctx context.Context, f File) error {
	if err := c.mayChange(ctx); err != nil {
		return err
	}
	_, err := c.again(ctx, func() script {
		return script{
			body: putScript, root: true, stdin: bytes.NewReader(f.Content), label: "write " + f.Path, changes: true,
			args: []string{f.Path, fmt.Sprintf("%04o", f.Mode.Perm()), strconv.Itoa(len(f.Content))},
		}
	})
	return err
}
