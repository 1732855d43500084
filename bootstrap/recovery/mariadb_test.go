//go:build lab

package recovery

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
)

// database is a server of this computer's own package in the place of a pod.
type database struct {
	t      *testing.T
	socket string
}

func startMariaDB(t *testing.T) database {
	t.Helper()
	server, err := exec.LookPath("mariadbd")
	if err != nil {
		t.Skip("no mariadbd on this computer")
	}
	dir, err := os.MkdirTemp("", "m") // a socket's path is at most 107 bytes long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := database{t, filepath.Join(dir, "s")}
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	user, data := "--user="+strings.TrimSpace(string(out)), filepath.Join(dir, "data")
	if out, err := exec.Command("mariadb-install-db", "--no-defaults", user, "--datadir="+data, "--auth-root-authentication-method=socket", "--skip-test-db").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(server, "--no-defaults", user, "--datadir="+data, "--socket="+d.socket, "--skip-networking", "--log-bin="+filepath.Join(dir, "bin"),
		"--server-id=7", "--pid-file="+filepath.Join(dir, "pid"), "--innodb-flush-log-at-trx-commit=0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Setenv("SOCKET", d.socket)
	for end := time.Now().Add(time.Minute); ; {
		if _, err := d.try("DO 1;"); err == nil {
			return d
		}
		if time.Now().After(end) {
			t.Fatal("the server does not start")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (d database) try(sql string) (string, error) {
	cmd := exec.Command("sh", "-c", `exec mariadb --no-defaults --socket="$1" --user="$(id -un)" --batch --skip-column-names`, "sh", d.socket)
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (d database) sql(sql string) string {
	d.t.Helper()
	out, err := d.try(sql)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

const school = `CREATE DATABASE schooldb CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_ai_ci; USE schooldb;
CREATE TABLE students (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200), note TEXT, photo BLOB, score DOUBLE, at DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6));
CREATE TABLE execs (id INT PRIMARY KEY, name VARCHAR(50), parent INT, FOREIGN KEY (parent) REFERENCES execs(id));
CREATE VIEW named AS SELECT id, name FROM students;
CREATE TABLE empty (id INT PRIMARY KEY);
INSERT INTO execs VALUES (2, 'b', NULL), (1, 'a', 2);
INSERT INTO students (name, note, photo, score) SELECT concat('s', seq), concat('-- Table structure for table ~x~\n(', md5(seq), ', ''quoted'') VALUES (1', repeat(sha2(seq, 512), 2)), unhex(md5(seq*7)), seq/7 FROM seq_1_to_%d;
DELIMITER //
CREATE PROCEDURE p() BEGIN
-- Table structure for table ~y~
SELECT 1; END //
`

func (d database) checksums() string {
	return d.sql("USE schooldb; CHECKSUM TABLE students, execs, empty; SELECT count(*) FROM students; SHOW CREATE TABLE students; SELECT routine_name FROM information_schema.routines WHERE routine_schema='schooldb';")
}

// inserts is how many statements that put rows in the server has seen.
func (d database) inserts() int {
	d.t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(d.sql("SHOW GLOBAL STATUS LIKE 'Com_insert';")), "Com_insert\t"))
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// TestDatabasesComeBackAsTheyWere takes a real server's data, changes it, and
// brings it back, with the writers stopped in between.
func TestDatabasesComeBackAsTheyWere(t *testing.T) {
	d := startMariaDB(t)
	d.sql(strings.ReplaceAll(fmt.Sprintf(school, 20000), "~", "`"))
	l, v := newLocal(t), newVault(t)
	state := t.TempDir()
	t.Setenv("STATE", state)
	writeFile(t, filepath.Join(state, "scale"), "2\n", 0o644)

	before := d.checksums()
	first, err := taker(l, v, MySQL).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ReadAbout(first.Manifest)
	if err != nil || a.GTID == "" || len(a.Tables) != 4 {
		t.Fatalf("%v: %+v", err, a)
	}
	rows := map[string]int64{}
	for _, table := range a.Tables {
		rows[table.Name] = table.Rows
	}
	if rows["schooldb.students"] != 20000 || rows["schooldb.execs"] != 2 {
		t.Errorf("rows %v", rows)
	}
	firstIn := l.in

	// One in a hundred, all over the table.
	d.sql("USE schooldb; UPDATE students SET note = concat('changed ', id) WHERE id % 100 = 0; INSERT INTO students (name) VALUES ('new');")
	l.in = 0
	second, err := taker(l, v, MySQL).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first %d bytes over the link for %d of data in %d pieces, second %d with %d differences", firstIn, first.Bytes, first.Pieces, l.in, second.Differences)
	if l.in*10 >= firstIn {
		t.Errorf("the second backup took %d bytes after the first took %d", l.in, firstIn)
	}
	changed := d.checksums()

	d.sql("USE schooldb; DELETE FROM students WHERE id < 5000; DROP TABLE empty; CREATE TABLE mine (id INT PRIMARY KEY);")
	writeFile(t, filepath.Join(state, "left"), "running", 0o644)
	for _, try := range []struct {
		entry vault.Entry
		want  string
	}{{first.Entry, before}, {second.Entry, changed}} {
		r := Restorer{Box: l.box(), Vault: v, Note: func(text string) { t.Log(text) }}
		m, _, err := r.Check(t.Context(), try.entry)
		if err != nil {
			t.Fatal(err)
		}
		var out Restored
		statements := d.inserts()
		if err := r.Into(t.Context(), try.entry, m, []string{MySQL}, Around{Done: func(_ string, done Restored) { out = done }}); err != nil {
			t.Fatal(err)
		}
		if id, err := l.box().Restoring(t.Context(), l); err != nil || id != "" {
			t.Errorf("backup %q is still being restored, %v", id, err)
		}
		// One for each row takes an old processor ten times as long.
		if n := d.inserts() - statements; n < 2 || n > 200 {
			t.Errorf("%d statements put 20002 rows back", n)
		}
		if got := d.checksums(); got != try.want {
			t.Errorf("backup %s came back as\n%s\nwant\n%s", try.entry.ID, got, try.want)
		}
		if len(out.Beside) != 1 || out.Beside[0] != "schooldb.mine" {
			t.Errorf("beside the backup: %v", out.Beside)
		}
	}
	scale, err := os.ReadFile(filepath.Join(state, "log"))
	if err != nil || string(scale) != "scale 0\nscale 2\nscale 0\nscale 2\n" {
		t.Errorf("the writers: %q, %v", scale, err)
	}
}

// TestADumpThatBreaksOffIsNoBackup kills the server while it is read.
func TestADumpThatBreaksOffIsNoBackup(t *testing.T) {
	startMariaDB(t)
	l, v := newLocal(t), newVault(t)
	if _, err := taker(l, v, MySQL).Take(t.Context()); err == nil || !strings.Contains(fmt.Sprintf("%+v", err), "exit status") {
		t.Errorf("a server without a database: %v", err)
	}
	if all, err := v.Entries(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}
