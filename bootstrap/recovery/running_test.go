package recovery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
)

// servesFile lets a file be the databases: what the programs of a pod would read
// and write there.
func (l *local) servesFile(t *testing.T) (path string) {
	t.Helper()
	state := t.TempDir()
	t.Setenv("STATE", state)
	path = filepath.Join(state, "db")
	writeFile(t, filepath.Join(l.path, "mariadb"), `#!/bin/sh
case "$*" in *--execute=*) echo school; exit ;; esac
grep -v '^-- put back' >"$STATE/db" || true
`, 0o755)
	writeFile(t, filepath.Join(l.path, "mariadb-dump"), "#!/bin/sh\ncat \"$STATE/db\"\n", 0o755)
	return path
}

// tables is a dump of three tables with a row each, every one a piece of its own.
func tables(row string) string {
	var out strings.Builder
	out.WriteString("-- MariaDB dump\n\n-- Current Database: `school`\n\nUSE `school`;\n\n")
	for i := range 3 {
		fmt.Fprintf(&out, "--\n-- Table structure for table `t%d`\n--\n\nCREATE TABLE `t%d` (a text);\n\n--\n-- Dumping data for table `t%d`\n--\n\nINSERT INTO `t%d` VALUES (%d,'%s');\n", i, i, i, i, i, row)
	}
	out.WriteString("COMMIT;\n\n-- SET GLOBAL gtid_slave_pos='0-1-7';\n-- Dump completed\n")
	return out.String()
}

// TestTheBackupOfWhatIsReplacedTakesNothingAway: the pieces that the box had
// anyway must outlast the backup that makes itself the base in between.
func TestTheBackupOfWhatIsReplacedTakesNothingAway(t *testing.T) {
	l, v := newLocal(t), newVault(t)
	db := l.servesFile(t)
	writeFile(t, db, tables("wanted"), 0o600)
	take := func(ctx context.Context) (vault.Entry, vault.Manifest, error) {
		taken, err := taker(l, v, MySQL).Take(ctx)
		return taken.Entry, taken.Manifest, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, m, err := take(ctx)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, db, tables("went wrong"), 0o600)
	before := l.out
	var out Restored
	r := Restorer{Box: l.box(), Vault: v, Note: func(text string) { t.Log(text) }}
	err = r.Into(ctx, e, m, []string{MySQL}, Around{
		Before: func(ctx context.Context) error { _, _, err := take(ctx); return err },
		Done:   func(_ string, r Restored) { out = r },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(db); err != nil || string(got) != tables("wanted") {
		t.Errorf("%v; the databases hold\n%s", err, got)
	}
	if out.Bytes != 0 || len(out.Tables) != 3 {
		t.Errorf("%d bytes were sent of what the box had, of %d in all; %d tables", out.Bytes, l.out-before, len(out.Tables))
	}
}

// TestAFeedThatBreaksOffSaysSo: the program in the pod must not wait for what
// nobody sends.
func TestAFeedThatBreaksOffSaysSo(t *testing.T) {
	l, v := newLocal(t), newVault(t)
	db := l.servesFile(t)
	writeFile(t, db, tables("wanted"), 0o600)
	taken, err := taker(l, v, MySQL).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var said []string
	r := Restorer{Box: l.box(), Vault: v, Note: func(text string) { said = append(said, text) }}
	err = r.Into(ctx, taken.Entry, taken.Manifest, []string{MySQL}, Around{
		Before: func(context.Context) error { return os.RemoveAll(l.box().at(in, "pieces")) },
		Done:   func(string, Restored) { t.Error("it is not back") },
	})
	if fault.CodeOf(err) != fault.RestoreFailed || !slices.Contains(said, "mysql: the pieces could not be put together") {
		t.Errorf("%v\n%s", err, strings.Join(said, "\n"))
	}
}
