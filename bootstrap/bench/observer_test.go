package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/porttest"
)

// stage is a box's task folder with containers that the test makes, watched by
// the real observer.
type stage struct {
	tasks string
	// diary is where the program writes when it began and when it served.
	diary string
	lines chan Sighting
	cmd   *exec.Cmd
}

// watchHere runs the observer on this computer, as systemd would on a box.
func watchHere(t *testing.T, rules ...Rule) *stage {
	t.Helper()
	s := &stage{tasks: t.TempDir(), diary: filepath.Join(t.TempDir(), "diary"), lines: make(chan Sighting, 100)}
	script := filepath.Join(t.TempDir(), "observer.pl")
	if err := os.WriteFile(script, observerScript, 0o600); err != nil {
		t.Fatal(err)
	}
	argv := []string{script, "ssg-bench", "120", s.tasks}
	for _, r := range rules {
		argv = append(argv, r.String())
	}
	s.cmd = exec.Command("perl", argv...)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("perl, which every Debian has: %v", err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.read(t, out) }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-done
		_ = s.cmd.Wait()
	})
	s.await(t, sawReady)
	return s
}

func (s *stage) read(t *testing.T, out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var x Sighting
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Errorf("not JSON: %q", lines.Text())
			continue
		}
		s.lines <- x
	}
}

// await returns the next sighting of a kind.
func (s *stage) await(t *testing.T, what string) Sighting {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case x := <-s.lines:
			if x.What == what {
				return x
			}
		case <-limit:
			t.Fatalf("%s was not seen", what)
		}
	}
}

// next returns the next sighting.
func (s *stage) next(t *testing.T) Sighting {
	t.Helper()
	select {
	case x := <-s.lines:
		return x
	case <-time.After(30 * time.Second):
		t.Fatal("nothing more was seen")
		return Sighting{}
	}
}

// The first argument of a test binary that plays a container, and the variable
// that says so.
const playVariable = "SSG_BENCH_PLAYS"

// contain makes a container whose runtime takes a while before it lets the
// program run, which then opens its port after a known delay.
func (s *stage) contain(t *testing.T, namespace, pod, name string, delay time.Duration, kind string, port int) (id string) {
	t.Helper()
	id = fmt.Sprintf("%s-%s-%d", pod, name, time.Now().UnixNano())
	dir := filepath.Join(s.tasks, id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The runtime's own process, which the container's program replaces.
	runc := filepath.Join(t.TempDir(), "runc:[2:INIT]")
	if err := os.Symlink("/bin/sh", runc); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(runc, "-c", `sleep 0.3; exec "$0" "$@"`, self, "-test.run=^TestPlaysAContainer$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s %s", playVariable, kind, port, delay, s.diary))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan struct{})
	// As the runtime does: what nobody waits for does not go away.
	go func() { defer close(reaped); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-reaped })
	config := fmt.Sprintf(`{"annotations":{"io.kubernetes.cri.container-name":%q,"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-name":%q,"io.kubernetes.cri.sandbox-namespace":%q}}`, name, pod, namespace)
	for file, text := range map[string]string{"config.json": config, "init.pid": strconv.Itoa(cmd.Process.Pid)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// TestPlaysAContainer is no test: it is the program in the container.
func TestPlaysAContainer(t *testing.T) {
	var kind string
	var port int
	var delay, diary string
	if _, err := fmt.Sscan(os.Getenv(playVariable), &kind, &port, &delay, &diary); err != nil {
		t.Skip("only run by the others")
	}
	d, err := time.ParseDuration(delay)
	if err != nil {
		t.Fatal(err)
	}
	write := func() { note(t, diary) }
	write()
	<-time.After(d)
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	if kind == "http" {
		write()
		t.Fatal(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" {
				http.NotFound(w, r)
			}
		})))
	}
	for first := true; ; first = false {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		play(conn, kind, first)
		if first {
			write()
		}
	}
}

// play answers as the servers do; each first answer is one that does not serve
// yet.
func play(conn net.Conn, kind string, first bool) {
	defer conn.Close()
	got := make([]byte, 64)
	switch kind {
	case "mysql":
		if first {
			_, _ = conn.Write([]byte("\x1a\x00\x00\x00\xff\x10\x04Too many connections"))
			return
		}
		_, _ = conn.Write([]byte("J\x00\x00\x00\x0a11.8.6-MariaDB\x00"))
	case "amqp":
		if n, _ := conn.Read(got); string(got[:n]) != "AMQP\x00\x00\x09\x01" || first {
			_, _ = conn.Write([]byte("AMQP\x00\x00\x09\x01"))
			return
		}
		_, _ = conn.Write([]byte("\x01\x00\x00\x00\x00"))
	case "redis":
		if n, _ := conn.Read(got); string(got[:n]) != "PING\r\n" || first {
			_, _ = conn.Write([]byte("-LOADING Redis is loading the dataset in memory\r\n"))
			return
		}
		_, _ = conn.Write([]byte("+PONG\r\n"))
	}
	_, _ = conn.Read(got)
}

// TestAKnownDelayIsFoundAgain is the agreement of the timed boot with a
// container that opens its port after a known delay.
func TestAKnownDelayIsFoundAgain(t *testing.T) {
	for _, c := range []struct {
		kind  string
		delay time.Duration
	}{{"mysql", 700 * time.Millisecond}, {"amqp", 400 * time.Millisecond}, {"redis", 0}, {"http", 1200 * time.Millisecond}} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			port := porttest.Keep(t)
			where, before := strconv.Itoa(port), uptime(t)
			if c.kind == "http" {
				where += "/healthz"
			}
			s := watchHere(t, Rule{Name: "it", Pod: "it-", Container: "main", Kind: c.kind, Where: where})
			s.contain(t, "ssg-bench", "it-0", "main", c.delay, c.kind, port)
			started, serves := s.await(t, sawStarted), s.await(t, sawServes)
			// The moment at which the program began to serve is known from itself; it
			// must lie where the observer says, however busy this computer is.
			began, served := s.truth(t)
			const clocks = 0.02 // of /proc/uptime, and of writing a file
			if served < serves.At-serves.Error-clocks || served > serves.At+clocks {
				t.Errorf("it served at %.3f, and was seen at %.3f with an error of %.3f", served, serves.At, serves.Error)
			}
			if began < started.At-started.Error-clocks {
				t.Errorf("it ran at %.3f, and was seen at %.3f with an error of %.3f", began, started.At, started.Error)
			}
			if serves.Rule != "it" || serves.Pod != "it-0" {
				t.Errorf("%+v\n%+v", started, serves)
			}
			t.Logf("a delay of %s was timed as %.3f s, errors %.3f and %.3f", c.delay, serves.At-started.At, started.Error, serves.Error)
			if now := uptime(t); serves.At < before-clocks || serves.At > now+clocks {
				t.Errorf("seen at %.3f, and the test ran from %.3f to %.3f", serves.At, before, now)
			}
		})
	}
}

func uptime(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), " ")
	up, err := strconv.ParseFloat(first, 64)
	if err != nil {
		t.Fatal(err)
	}
	return up
}

func TestOthersNamespacesAreNotWatched(t *testing.T) {
	port := porttest.Keep(t)
	s := watchHere(t, Rule{Name: "it", Container: "main", Kind: "redis", Where: strconv.Itoa(port)})
	other := s.contain(t, "studentsystemgo", "redis-0", "main", 0, "redis", porttest.Keep(t))
	ours := s.contain(t, "ssg-bench", "redis-0", "main", 0, "redis", port)
	// The other one was there first, and would be seen first.
	var seen []string
	for len(seen) < 3 {
		x := s.next(t)
		if x.ID == other {
			t.Errorf("the other one was seen: %+v", x)
		}
		if x.ID == ours {
			seen = append(seen, x.What)
		}
	}
	if want := []string{sawCreated, sawStarted, sawServes}; !slices.Equal(seen, want) {
		t.Errorf("of ours was seen %q, want %q", seen, want)
	}
}

func TestTheEndOfAContainerIsSeen(t *testing.T) {
	s := watchHere(t, Rule{Name: "it", Container: "main", Kind: "redis", Where: "1"})
	// It cannot listen there, so it ends by itself.
	s.contain(t, "ssg-bench", "x-0", "main", 0, "redis", -1)
	started, ended := s.await(t, sawStarted), s.await(t, sawEnded)
	if started.ID != ended.ID || ended.At < started.At {
		t.Errorf("%+v\n%+v", started, ended)
	}
}

func TestAFileAndAConnectionAreMomentsToo(t *testing.T) {
	broker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	file := filepath.Join(t.TempDir(), "in-step")
	port := broker.Addr().(*net.TCPAddr).Port
	s := watchHere(t,
		Rule{Name: "file", Container: "main", Kind: "file", Where: file},
		Rule{Name: "peer", Container: "main", Kind: "peer", Where: strconv.Itoa(port)})
	s.contain(t, "ssg-bench", "x-0", "main", 0, "redis", porttest.Keep(t))
	s.await(t, sawStarted)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if x := s.await(t, sawServes); x.Rule != "file" {
		t.Errorf("%+v", x)
	}
	// The program shares this test's network, so this is its connection too.
	conn, err := net.Dial("tcp", broker.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if x := s.await(t, sawServes); x.Rule != "peer" {
		t.Errorf("%+v", x)
	}
}

// note adds the time to the program's diary.
func note(t *testing.T, diary string) {
	t.Helper()
	f, err := os.OpenFile(diary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%.3f\n", uptime(t)); err != nil {
		t.Fatal(err)
	}
}

// truth is when the program began, and when it began to serve.
func (s *stage) truth(t *testing.T) (began, served float64) {
	t.Helper()
	text, err := os.ReadFile(s.diary)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &began, &served); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return began, served
}
