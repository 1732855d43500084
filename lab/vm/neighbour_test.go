package vm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNeighbours puts a network namespace in the place of the box: the
// emulator's network leads to a TAP device in it, with no computer behind. It
// needs root, QEMU and socat.
func TestNeighbours(t *testing.T) {
	for _, program := range []string{emulator, carrier, "unshare", "ip"} {
		if !installed(program) {
			t.Skipf("%s is not installed", program)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("a network namespace with a TAP device takes root")
	}
	// The folder's name is what a quoting mistake would trip over.
	dir := filepath.Join(shortDir(t), "a, b's:box")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := testMachine(dir)
	m.ports = Ports{}
	sh := inBoxesPlace(t, m)

	ask := func(address string, seconds int) string {
		return sh(fmt.Sprintf("fetch %s %d", strings.Replace(address, ":", " ", 1), seconds))
	}
	if got := ask(GitHubAddr, 20); got != "" {
		t.Errorf("while nobody listens the neighbour says %q", got)
	}
	for _, n := range neighbours() {
		for _, life := range []string{"first", "second"} { // whoever listens may come and go
			end := answerOn(t, filepath.Join(dir, n.socket), life+" of "+n.socket)
			if got := ask(n.address, 20); !strings.HasSuffix(got, "\r\n\r\n"+life+" of "+n.socket) {
				t.Errorf("%s says %q", n.address, got)
			}
			end()
		}
	}
	end := answerOn(t, filepath.Join(dir, GitHubSocket), "github")
	defer end()
	for _, elsewhere := range []string{"10.0.2.100:443", "10.0.2.101:8080", "10.0.2.102:80", "10.0.2.2:80", "192.0.2.1:80"} {
		if got := ask(elsewhere, 1); got != "" {
			t.Errorf("%s was reached: %q", elsewhere, got)
		}
	}
}

// inBoxesPlace returns what runs a shell line where the box would be; `fetch`
// asks an address for a page and waits for so many seconds.
func inBoxesPlace(t *testing.T, m machine) func(line string) string {
	t.Helper()
	const prelude = `set -e
ip link set lo up
%s -machine none -nodefaults -display none -monitor none -netdev '%s' -netdev tap,id=tap,ifname=lan,script=no,downscript=no \
	-netdev hubport,id=one,hubid=0,netdev=lan -netdev hubport,id=other,hubid=0,netdev=tap &
until ip link show lan >/dev/null 2>&1; do kill -0 $!; done
ip addr add 10.0.2.15/24 dev lan
ip link set lan up
ip route add default via 10.0.2.2
set +e
fetch() { timeout $3 bash -c "exec 3<>/dev/tcp/$1/$2 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && cat <&3" 2>/dev/null; }
echo ready
while read -r line; do eval "$line"; printf '\0'; done
`
	script := fmt.Sprintf(prelude, emulator, strings.ReplaceAll(m.network(), "'", `'\''`))
	ctx, cancel := context.WithCancel(context.Background())
	shell := exec.CommandContext(ctx, "unshare", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", script)
	var complaints bytes.Buffer
	shell.Stderr = &complaints
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = shell.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		cancel()
		_ = shell.Wait()
		t.Fatalf("the namespace did not come up: %v: %s", err, complaints.String())
	}
	return func(line string) string {
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
		var said []byte
		for one := make([]byte, 1); ; said = append(said, one[0]) {
			if _, err := io.ReadFull(out, one); err != nil {
				t.Fatalf("%s: %v: %s", line, err, complaints.String())
			}
			if one[0] == 0 {
				return string(said)
			}
		}
	}
}

func answerOn(t *testing.T, socket, text string) (end func()) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, text)
	})}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }
}
