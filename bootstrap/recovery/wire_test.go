package recovery

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
)

// TestPatchUndoesDiff holds patch to the real diff, on random texts.
func TestPatchUndoesDiff(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		old := lines(r, r.IntN(40))
		var next []string
		for _, l := range old {
			switch r.IntN(6) {
			case 0:
			case 1:
				next = append(next, lines(r, 1+r.IntN(3))...)
			default:
				next = append(next, l)
			}
		}
		next = append(next, lines(r, r.IntN(2))...)
		a, b := strings.Join(old, ""), strings.Join(next, "")
		writeFile(t, filepath.Join(dir, "a"), a, 0o600)
		writeFile(t, filepath.Join(dir, "b"), b, 0o600)
		delta, err := exec.Command("diff", "-n", "-a", filepath.Join(dir, "a"), filepath.Join(dir, "b")).Output()
		if a == b {
			continue
		}
		if len(delta) == 0 {
			t.Fatal(err)
		}
		got, err := patch([]byte(a), delta)
		if err != nil || string(got) != b {
			t.Fatalf("seed %d: %v\n%q\n%q\n%q", seed, err, a, b, got)
		}
	}
}

func lines(r *rand.Rand, n int) []string {
	var out []string
	for range n {
		out = append(out, strings.Repeat(string(rune('a'+r.IntN(5))), 1+r.IntN(4))+"\n")
	}
	return out
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("d1 1\na2 1\nx\n"))
	f.Add([]byte("a"), []byte("a0 1\nb\n"))
	f.Add([]byte(""), []byte("d9 9\n"))
	f.Fuzz(func(t *testing.T, old, delta []byte) {
		got, err := patch(old, delta)
		if err == nil && len(got) > len(old)+len(delta) {
			t.Errorf("%d bytes of %d and %d", len(got), len(old), len(delta))
		}
	})
}

func FuzzWire(f *testing.F) {
	f.Add([]byte("w 3\nabcd 0\n"), 2)
	f.Add([]byte(vault.SumOf(nil).String()+" 1 0 .61 .\n"), 1)
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		if frames, err := readFrames(text, n%50); err == nil && len(frames) != n%50 {
			t.Errorf("%d frames", len(frames))
		}
		if x, err := readList(text); err == nil && len(x) == 0 {
			t.Error("an empty list")
		}
		_, _ = expand(text, 1<<16)
	})
}

// dump writes what looks like a dump of one table.
func dump(rows []string) string {
	return "-- MariaDB dump\n\n-- Current Database: `school`\n\nUSE `school`;\n\n--\n-- Table structure for table `t`\n--\n\nCREATE TABLE `t` (id int);\n\n" +
		strings.Join(rows, "") + "COMMIT;\n\n-- SET GLOBAL gtid_slave_pos='0-1-7';\n-- Dump completed\n"
}

// TestPiecesAreTheSameWhereTheDataAre cuts a dump before and after a change.
func TestPiecesAreTheSameWhereTheDataAre(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	var rows []string
	for n := range 6000 {
		filler := make([]byte, 300)
		for i := range filler {
			filler[i] = byte('a' + r.IntN(26))
		}
		rows = append(rows, "INSERT INTO `t` VALUES ("+itoa(n)+",'"+string(filler)+"');\n")
	}
	cut := func(rows []string) vault.Index {
		dir := t.TempDir()
		tool := filepath.Join(dir, "pieces.pl")
		if err := os.WriteFile(tool, piecesTool, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("perl", tool, "lines", dir, "mysql")
		cmd.Stdin = strings.NewReader(dump(rows))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(filepath.Join(dir, "mysql.list"))
		if err != nil {
			t.Fatal(err)
		}
		x, err := readList(text)
		if err != nil {
			t.Fatal(err)
		}
		var whole bytes.Buffer
		for _, p := range x {
			data, err := os.ReadFile(filepath.Join(dir, "pieces", p.Sum.String()))
			if err != nil || vault.SumOf(data) != p.Sum {
				t.Fatalf("%s: %v", p.Sum, err)
			}
			whole.Write(data)
		}
		if whole.String() != dump(rows) {
			t.Fatal("the pieces do not make the dump")
		}
		return x
	}
	before := cut(rows)
	if len(before) < 8 || Tables(before)[0].Rows != 6000 {
		t.Fatalf("%d pieces, %+v", len(before), Tables(before))
	}
	// Put in, taken out, and changed, each in one place.
	changed := append(append(append([]string{}, rows[:2000]...), "INSERT INTO `t` VALUES (999999,'new');\n"), rows[2000:4000]...)
	changed = append(changed, rows[4003:]...)
	changed[100] = strings.Replace(changed[100], ",'", ",'x", 1)
	after := cut(changed)
	had := map[vault.Sum]bool{}
	for _, p := range before {
		had[p.Sum] = true
	}
	fresh := 0
	for _, p := range after {
		if !had[p.Sum] {
			fresh++
		}
	}
	if fresh > 4 {
		t.Errorf("3 changes made %d of %d pieces new", fresh, len(after))
	}
}

func itoa(n int) string {
	return string([]byte{byte('1' + n/1000%9), byte('0' + n/100%10), byte('0' + n/10%10), byte('0' + n%10)})
}

// TestRowsAreFedTogether feeds a dump whose pieces end in the middle of a table.
func TestRowsAreFedTogether(t *testing.T) {
	row := func(table, values string) string { return "INSERT INTO " + table + " VALUES (" + values + ");\n" }
	large := "'" + strings.Repeat("x", 200<<10) + "'"
	trigger := "DELIMITER ;;\n/*!50003 CREATE TRIGGER `tr` AFTER INSERT ON `t` FOR EACH ROW BEGIN\n-- Dumping data for table `x`\n" +
		row("`log`", "1") + row("`log`", "2") + "END */;;\nDELIMITER ;\n"
	const heading = "--\n-- Dumping data for table `t`\n--\n-- ORDER BY:  `id`\n\nSET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0;\n"
	pieces := []string{
		"-- Table structure for table `t`\n" + row("`t`", "0") + row("`t`", "0"),
		heading + row("`t`", "1,'a); b'"),
		row("`t`", "2,'it''s VALUES ('") + row("`t`", "3,NULL") + "/*!40000 ALTER TABLE `t` ENABLE KEYS */;\n" + trigger,
		"-- Dumping data for table `t``2`\n" + row("`t``2`", large) + row("`t``2`", large) + row("`t``2`", "1") +
			row("`t``2` (`a`, `b VALUES (`)", "1,2") + row("`t``2` (`a`, `b VALUES (`)", "3,4") + row("`t`", "9") + "COMMIT;\n-- Dump completed\n",
	}
	want := pieces[0] +
		heading + row("`t`", "1,'a); b'),(2,'it''s VALUES ('),(3,NULL") + "/*!40000 ALTER TABLE `t` ENABLE KEYS */;\n" + trigger +
		"-- Dumping data for table `t``2`\n" + row("`t``2`", large) + row("`t``2`", large+"),(1") +
		row("`t``2` (`a`, `b VALUES (`)", "1,2),(3,4") + row("`t`", "9") + "COMMIT;\n-- Dump completed\n"

	dir := t.TempDir()
	tool := filepath.Join(dir, "pieces.pl")
	if err := os.WriteFile(tool, piecesTool, 0o600); err != nil {
		t.Fatal(err)
	}
	var order strings.Builder
	for _, p := range pieces {
		sum := vault.SumOf([]byte(p)).String()
		if err := os.WriteFile(filepath.Join(dir, sum), []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
		order.WriteString(sum + "\n")
	}
	cmd := exec.Command("perl", tool, "feed", filepath.Join(dir, "nothing"), dir)
	cmd.Stdin = strings.NewReader(order.String())
	got, err := cmd.CombinedOutput()
	if err != nil || string(got) != want {
		t.Errorf("%v: fed as\n%.2000s\nwant\n%.2000s", err, got, want)
	}
}

// TestABrokenDumpIsNoPart gives the tool a dump without its end.
func TestABrokenDumpIsNoPart(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "pieces.pl")
	if err := os.WriteFile(tool, piecesTool, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("perl", tool, "lines", dir, "mysql")
	cmd.Stdin = strings.NewReader("INSERT INTO `t` VALUES (1);\n")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "broke off") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "mysql.list")); err == nil {
		t.Error("there is a list")
	}
}

// hastyK3s is a kubelet whose reader is slow: when the program in the pod ends,
// what was not taken from it by then is lost.
const hastyK3s = `#!/bin/sh
case $* in *get*) echo mysql-primary-0 True; exit ;; esac
while [ "$1" != -- ]; do shift; done
out=$(mktemp -u)
mkfifo "$out"
exec 3<&0
(sleep 1; exec cat) <"$out" &
sh -c "$4" <&3 >"$out"
status=$?
kill $! 2>/dev/null
exit $status
`

func TestTheProgramInThePodWaitsUntilItsLastLineHasCome(t *testing.T) {
	l := newLocal(t)
	writeFile(t, filepath.Join(l.path, "k3s"), hastyK3s, 0o755)
	writeFile(t, filepath.Join(l.path, "mariadb"), "#!/bin/sh\necho schooldb\n", 0o755)
	dump := func(end string) {
		writeFile(t, filepath.Join(l.path, "mariadb-dump"), "#!/bin/sh\necho '-- Current Database: `schooldb`'\nseq -f 'INSERT INTO `t` VALUES (%g);' 500\n"+end+"\n", 0o755)
	}
	b := l.box()
	if err := b.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	dump("echo -- Dump completed")
	if err := b.snapshot(t.Context(), "stage", []string{"mysql"}, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	if x, err := b.list(t.Context(), "stage", "mysql"); err != nil || len(x) == 0 {
		t.Errorf("%d pieces, %v", len(x), err)
	}
	// One that broke off is told so too, and nobody waits for ever.
	dump("exit 2")
	var failed *host.CommandError
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := b.snapshot(ctx, "stage", []string{"mysql"}, func(text string) { t.Log(text) })
	if !errors.As(err, &failed) || !strings.Contains(failed.Stderr, "broke off") {
		t.Errorf("a dump without an end: %v", err)
	}
}

// TestPiecesThatArriveAreProven sends one that is damaged.
func TestPiecesThatArriveAreProven(t *testing.T) {
	l := newLocal(t)
	b := l.box()
	if err := b.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := []byte("a piece\nwith \x00 in it")
	for range 2 {
		if _, err := b.bring(t.Context(), [][]byte{good, []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	missing, err := b.missing(t.Context(), vault.Index{{Sum: vault.SumOf(good)}, {Sum: vault.SumOf([]byte("y"))}})
	if err != nil || len(missing) != 1 || !missing[vault.SumOf([]byte("y"))] {
		t.Errorf("%v, %v", missing, err)
	}
	// A power cut may leave a name without its content.
	writeFile(t, b.at(in, "pieces", vault.SumOf(good).String()), "a pie", 0o600)
	missing, err = b.missing(t.Context(), vault.Index{{Sum: vault.SumOf(good)}, {Sum: vault.SumOf([]byte("x"))}})
	if err != nil || len(missing) != 1 || !missing[vault.SumOf(good)] {
		t.Errorf("%v, %v", missing, err)
	}
	packed, err := pack([]byte(vault.SumOf([]byte("y")).String() + " 1\nz"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Query(t.Context(), shell(`gzip -dc | perl "$1" receive "$2"`, packed, b.at("pieces.pl"), b.at(in, "pieces")))
	if _, failed := err.(*host.CommandError); !failed || !strings.Contains(err.(*host.CommandError).Stderr, "damaged") {
		t.Errorf("a damaged piece: %v", err)
	}
}
