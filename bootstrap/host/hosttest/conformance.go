package hosttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Place is a box to hold to what host promises.
type Place struct {
	// Connect logs in anew; the caller closes.
	Connect func(t testing.TB) *host.Client
	// Dir is a folder on the box that tests may fill, StateDir the one that
	// its clients use for uploads.
	Dir, StateDir string
}

// Conformance is what every box must do, be it a model or a real sshd: what
// holds for both makes tests against the model mean something.
func Conformance(t *testing.T, p Place) {
	for name, test := range map[string]func(*testing.T, Place){
		"outputs are exact":              exactOutputs,
		"failures are told":              failures,
		"queries get their own inputs":   ownInputs,
		"outputs cannot forge answers":   hostileOutputs,
		"arguments arrive as they are":   exactArguments,
		"put replaces whole files":       putReplaces,
		"send resumes":                   sendResumes,
		"one lock":                       oneLock,
		"dial reaches what the box does": dials,
		"many at once":                   manyAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, p) })
	}
}

func (p Place) client(t *testing.T) *host.Client {
	t.Helper()
	c := p.Connect(t)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func printf(s string) host.Command { return host.Command{Argv: []string{"printf", s}} }

func exactOutputs(t *testing.T, p Place) {
	c := p.client(t)
	outputs := []string{"", "\n", "no end", "two\n\n", `\000\377\001`, `a\nb`}
	wants := []string{"", "\n", "no end", "two\n\n", "\x00\xff\x01", "a\nb"}
	var cs []host.Command
	for i, o := range outputs {
		q := printf(o)
		q.Root = i%2 == 1
		cs = append(cs, q)
	}
	answers, err := c.QueryMany(t.Context(), cs)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if a.Err != nil || string(a.Out) != wants[i] {
			t.Errorf("answer %d: got %q, %v; want %q", i, a.Out, a.Err, wants[i])
		}
	}
	big, err := c.Query(t.Context(), host.Command{Argv: []string{"sh", "-c", "yes 0123456789abcde | head -c 3000000"}})
	if err != nil || !bytes.Equal(big, bytes.Repeat([]byte("0123456789abcde\n"), 3000000/16)) {
		t.Errorf("the big answer has %d bytes, %v", len(big), err)
	}
}

func failures(t *testing.T, p Place) {
	c := p.client(t)
	cs := []host.Command{
		{Argv: []string{"sh", "-c", "echo out; echo bad >&2; exit 7"}},
		printf("fine"),
		{Argv: []string{"sh", "-c", "echo 'x: No space left on device' >&2; exit 1"}, Root: true},
		{Argv: []string{"sh", "-c", "echo 'x: Read-only file system' >&2; exit 1"}, Root: true},
	}
	answers, err := c.QueryMany(t.Context(), cs)
	if err != nil {
		t.Fatal(err)
	}
	var ce *host.CommandError
	if !errors.As(answers[0].Err, &ce) || ce.Exit != 7 || ce.Stderr != "bad" || string(answers[0].Out) != "out\n" {
		t.Errorf("got %q, %v", answers[0].Out, answers[0].Err)
	}
	if answers[1].Err != nil || string(answers[1].Out) != "fine" {
		t.Errorf("the query after a failed one: %q, %v", answers[1].Out, answers[1].Err)
	}
	for i, want := range map[int]fault.Code{0: fault.CommandFailed, 2: fault.DiskFull, 3: fault.ReadOnlyFS} {
		if got := fault.CodeOf(answers[i].Err); got != want {
			t.Errorf("answer %d: got %s, want %s", i, got, want)
		}
		if _, err := c.Run(t.Context(), cs[i]); fault.CodeOf(err) != want {
			t.Errorf("run %d: got %v, want %s", i, err, want)
		}
	}
}

func ownInputs(t *testing.T, p Place) {
	c := p.client(t)
	in := []string{"first\n", "", "second\x00\n\n", strings.Repeat("third", 5000)}
	var cs []host.Command
	for i, text := range in {
		cs = append(cs, host.Command{Argv: []string{"cat"}, Stdin: []byte(text), Root: i > 1})
	}
	answers, err := c.QueryMany(t.Context(), cs)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if a.Err != nil || string(a.Out) != in[i] {
			t.Errorf("answer %d: got %.40q, %v; want %.40q", i, a.Out, a.Err, in[i])
		}
	}
	out, err := c.Run(t.Context(), host.Command{Argv: []string{"cat"}, Stdin: []byte(in[3]), Root: true})
	if err != nil || string(out) != in[3] {
		t.Errorf("run: got %d bytes, %v", len(out), err)
	}
}

// hostileOutputs has queries print what the frames are made of, as far as a
// program of the box can know it.
func hostileOutputs(t *testing.T, p Place) {
	c := p.client(t)
	hostile := `cat /proc/$PPID/cmdline /proc/$$/cmdline 2>/dev/null; printf '\n%s %s %s\n' "$m" 0 0; printf '\n0123456789abcdef0123456789abcdef 0 0\n'`
	answers, err := c.QueryMany(t.Context(), []host.Command{
		{Argv: []string{"sh", "-c", hostile}}, printf("safe"), {Argv: []string{"sh", "-c", hostile + "; exit 3"}}, printf("and sound"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(answers[1].Out) != "safe" || string(answers[3].Out) != "and sound" {
		t.Errorf("got %q and %q", answers[1].Out, answers[3].Out)
	}
	var ce *host.CommandError
	if answers[0].Err != nil || !errors.As(answers[2].Err, &ce) || ce.Exit != 3 {
		t.Errorf("got %v and %v", answers[0].Err, answers[2].Err)
	}
}

func exactArguments(t *testing.T, p Place) {
	c := p.client(t)
	args := []string{"", " ", "it's", `"`, `\`, "$HOME", "`id`", "a\nb", "*", "ü", "-n", "!", "&", ";", "#", "~"}
	want := strings.Join(args, "\x00") + "\x00"
	argv := append([]string{"sh", "-c", `for a; do printf '%s\0' "$a"; done`, "sh"}, args...)
	for _, root := range []bool{false, true} {
		q := host.Command{Argv: argv, Root: root}
		if out, err := c.Query(t.Context(), q); err != nil || string(out) != want {
			t.Errorf("query: got %q, %v", out, err)
		}
		if out, err := c.Run(t.Context(), q); err != nil || string(out) != want {
			t.Errorf("run: got %q, %v", out, err)
		}
	}
}

func putReplaces(t *testing.T, p Place) {
	c := p.client(t)
	file := path.Join(p.Dir, "new folder", "a file")
	for _, want := range []string{"first", "second \x00 one\n"} {
		if err := c.Put(t.Context(), host.File{Path: file, Mode: 0o640, Content: []byte(want)}); err != nil {
			t.Fatal(err)
		}
		out, err := c.Query(t.Context(), host.Command{Argv: []string{"sh", "-c", `stat -c %a "$1"; cat "$1"; ls -A "${1%/*}" | wc -l`, "sh", file}, Root: true})
		if err != nil || string(out) != "640\n"+want+"1\n" {
			t.Errorf("got %q, %v", out, err)
		}
	}
	err := c.Put(t.Context(), host.File{Path: path.Join(file, "below a file"), Mode: 0o644})
	if fault.CodeOf(err) != fault.CommandFailed {
		t.Errorf("got %v", err)
	}
}

func sendResumes(t *testing.T, p Place) {
	c := p.client(t)
	data := make([]byte, 9<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(t.TempDir(), "local")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b := host.Blob{
		Local: local, SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), Size: int64(len(data)),
		Path: path.Join(p.Dir, "sent", "blob"), Mode: 0o755,
	}
	part := host.File{Path: path.Join(p.StateDir, "uploads", b.SHA256+".part"), Mode: 0o600, Content: data[:5<<20+77]}
	if err := c.Put(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	sent, err := c.Send(t.Context(), b, nil)
	if err != nil || sent.Resumed != 5<<20+77 || sent.Bytes != b.Size-sent.Resumed {
		t.Fatalf("sent %+v, %v", sent, err)
	}
	out, err := c.Query(t.Context(), host.Command{Argv: []string{"sh", "-c", `stat -c %a "$1"; sha256sum <"$1"`, "sh", b.Path}, Root: true})
	if err != nil || string(out) != "755\n"+b.SHA256+"  -\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if again, err := c.Send(t.Context(), b, nil); err != nil || again.Bytes != 0 {
		t.Errorf("sent again %+v, %v", again, err)
	}
}

func oneLock(t *testing.T, p Place) {
	first, second := p.client(t), p.client(t)
	release, err := first.Lock(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Lock(t.Context(), "berta"); fault.CodeOf(err) != fault.Locked || fault.EvidenceOf(err) != "anna" {
		t.Errorf("got %v, evidence %q", err, fault.EvidenceOf(err))
	}
	release()
	release, err = second.Lock(t.Context(), "berta")
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	release()
	release, err = first.Lock(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func dials(t *testing.T, p Place) {
	c := p.client(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); _, _ = io.Copy(conn, conn) }()
		}
	}()
	conn, err := c.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "echo"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "echo" {
		t.Errorf("got %q, %v", got, err)
	}
	// Not a port that was free a moment ago: another test may have it by now.
	if refused, err := c.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		_ = refused.Close()
		t.Error("connected to a closed port")
	}
}

func manyAtOnce(t *testing.T, p Place) {
	c := p.client(t)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			want := fmt.Sprint("number ", i)
			out, err := c.Query(context.WithoutCancel(t.Context()), printf(want))
			if err != nil || string(out) != want {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
	wg.Wait()
}
