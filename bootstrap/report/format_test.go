package report

import (
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
)

func TestFiguresReadAsAPersonWouldSayThem(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(0), "0 B"},
		{Bytes(999), "999 B"},
		{Bytes(999_600), "1 MB"},
		{Bytes(81_277_090), "81 MB"},
		{Bytes(1_234_000_000), "1.2 GB"},
		{MemoryBytes(4 << 30), "4 GiB"},
		{MemoryBytes(3_900_000_000), "3.6 GiB"},
		{Rate(250_000), "250 kB/s"},
		{Duration(0), "0 s"},
		{Duration(40 * time.Millisecond), "40 ms"},
		{Duration(1500 * time.Millisecond), "1.5 s"},
		{Duration(9960 * time.Millisecond), "10 s"},
		{Duration(200 * time.Second), "3 min 20 s"},
		{Duration(3 * time.Minute), "3 min"},
		{Duration(3599600 * time.Millisecond), "1 h"},
		{Duration(100 * time.Minute), "1 h 40 min"},
		{Duration(47*time.Hour + 59*time.Minute), "47 h 59 min"},
		{Duration(193 * time.Hour), "8 d 1 h"},
		{Duration(239*time.Hour + 40*time.Minute), "10 d"},
		{Count(1, "row"), "1 row"},
		{Count(0, "row"), "0 rows"},
		{About(2 * time.Second), "a few seconds"},
		{About(63 * time.Second), "about 1 min"},
		{About(1000 * time.Second), "about 17 min"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTextFromABoxCannotDriveTheTerminal(t *testing.T) {
	got := Clean("a\x1b[2Jb\r\nc\x07\u202e\tü")
	if got != "a�[2Jb\nc�� ü" {
		t.Errorf("got %q", got)
	}
}

func TestATableKeepsEveryWordWithinTheTerminal(t *testing.T) {
	why := "the kernel's default of 128 inotify instances is used up by a kubelet, a containerd and one log collector"
	table := Table{
		Head: []string{"CHANGE", "OBJECT", "SENDS", "WHY"}, Right: []int{2},
		Rows: [][]string{{"create", "/etc/sysctl.d/90-ssg-bootstrap.conf", "1 kB", why}, {"send", "k3s", "81 MB", ""}},
	}
	var b strings.Builder
	if err := table.Write(&b, 80); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if w := runewidth.StringWidth(strings.TrimRight(line, "\n")); w > 80 {
			t.Errorf("%d columns: %q", w, line)
		}
	}
	if got := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(got, why) {
		t.Errorf("words were lost:\n%s", b.String())
	}
	if !strings.Contains(b.String(), "\nsend    k3s                                  81 MB\n") {
		t.Errorf("columns are not aligned:\n%s", b.String())
	}
}
