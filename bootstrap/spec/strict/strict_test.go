package strict

import (
	"fmt"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func TestClosestFindsOtherSpellingsAndFewWrongLetters(t *testing.T) {
	names := []string{"hostKeys", "hosts", "identityFiles", "port", "profile"}
	for key, want := range map[string]string{
		"host_keys": "hostKeys", "HOST-KEYS": "hostKeys", "prot": "port", "host": "hosts",
		"identityFile": "identityFiles", "zzz": "", "": "", "profil": "profile",
	} {
		if got, ok := Closest(key, names); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", key, got, ok)
		}
	}
}

func TestALongListOfMistakesIsCutShort(t *testing.T) {
	var text strings.Builder
	for i := range 250 {
		fmt.Fprintf(&text, "key%d: 1\n", i)
	}
	var into struct{}
	err := Error("f", Decode("f", []byte(text.String()), &into).Mistakes())
	lines := strings.Split(fault.EvidenceOf(err), "\n")
	if len(lines) != 101 || lines[100] != "and 150 more" || !strings.Contains(err.Error(), "250 mistakes") {
		t.Errorf("%v: %d lines, the last %q", err, len(lines), lines[len(lines)-1])
	}
}

func TestAnImageIsNotParsed(t *testing.T) {
	var into struct{}
	d := Decode("f", make([]byte, maxSize+1), &into)
	d.Refuse(nil, "and no name either")
	if m := d.Mistakes(); len(m) != 1 || !strings.Contains(m[0].Message, "at most") {
		t.Errorf("%v", m)
	}
}

func TestRefusalsPointToTheValueOrToWhatIsAroundIt(t *testing.T) {
	var into struct {
		A map[string]any `yaml:"a"`
	}
	d := Decode("f", []byte("# x\na:\n  b.c:\n    - d\n    - e: 1\n"), &into)
	for _, path := range [][]string{{"a", "b.c", "[1]", "e"}, {"a", "b.c", "[1]"}, {"a", "b.c", "none"}, {"a", "none"}, {"none"}} {
		d.Refuse(path, "%s", strings.Join(path, "/"))
	}
	want := "f:2:1: a/none\nf:2:1: none\nf:3:3: a/b.c/none\nf:5:7: a/b.c/[1]\nf:5:7: a/b.c/[1]/e"
	if got := fault.EvidenceOf(Error("f", d.Mistakes())); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !d.Says("a", "b.c") || d.Says("a", "x") {
		t.Error("Says is wrong")
	}
}
