package tailnet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tailscale.com/ipn"
)

// TestTheBoxsOwnTailscale lets the programs of the package that the mirror
// serves join, with a TUN device, routes and a firewall, in a network namespace
// where the tailnet is at the box's neighbours' addresses.
func TestTheBoxsOwnTailscale(t *testing.T) {
	daemon := builtTailscale(t)
	for _, program := range []string{"unshare", "ip", "socat"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); os.Geteuid() != 0 || err != nil {
		t.Skip("a network namespace with a TUN device takes root and /dev/net/tun")
	}
	dir := disk(t)
	s, err := Open(filepath.Join(dir, "tailnet"), testLog())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = s.Close() })
	if err := s.Listen(ctx, Sockets{Control: filepath.Join(dir, "control"), Relay: filepath.Join(dir, "relay")}); err != nil {
		t.Fatal(err)
	}
	sh := namespace(t, dir, daemon)
	is := func() (now struct {
		BackendState string
		TUN          bool
		Self         struct {
			DNSName, Relay string
			Tags           []string
		}
	}) {
		if err := json.Unmarshal([]byte(sh("ts status --json --peers=false")), &now); err != nil {
			t.Fatal(err)
		}
		return now
	}
	join := func(key string) string {
		if err := os.WriteFile(filepath.Join(dir, "key"), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		return sh("ts up --auth-key=file:" + dir + "/key $settings; echo $?")
	}
	if got := join(turn(t, s, "new-key", "one-off")); !strings.HasSuffix(got, "0\n") {
		t.Fatalf("up: %s", got)
	}
	if now := is(); now.BackendState != ipn.Running.String() || !now.TUN || now.Self.Relay != "lab" ||
		now.Self.DNSName != "oldpc."+Domain+"." || len(now.Self.Tags) != 1 {
		t.Errorf("it is %+v", now)
	}
	if got := sh("ip -4 -o addr show tailscale0; ip route show table 52"); !strings.Contains(got, found(t, s, "oldpc").Addresses[0]+"/32") {
		t.Errorf("the device and its routes: %s", got)
	}
	wrote := len(writesOf(s))
	if got := sh("ts up $settings; echo $?; ts wait --timeout=20s; echo $?"); got != "0\n0\n" {
		t.Errorf("the same again: %q", got)
	}
	if got := len(writesOf(s)); got != wrote {
		t.Errorf("the same again wrote: %v", writesOf(s))
	}
	turn(t, s, "delete", "oldpc")
	await(t, "the daemon notices that it was deleted", func() bool { return is().BackendState == ipn.NeedsLogin.String() })
	// When it is Running depends on when it finds its relay again, which may take
	// it minutes; what is asked here is that it is the tailnet's again.
	sh(`settings=${settings/60s/3s}`)
	said := join(turn(t, s, "new-key", "one-off"))
	if got := is(); got.Self.DNSName != "oldpc."+Domain+"." || !found(t, s, "oldpc").ConnectedToControl {
		t.Errorf("joining again: %s, then it is %+v", said, got)
	}
}

// builtTailscale is the program of the lab's package.
func builtTailscale(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	built, err := filepath.Glob(filepath.Join(cache, "ssg-bootstrap", "lab", "store", "tailscale-*", "tailscaled"))
	if err != nil || len(built) == 0 {
		t.Skip("the lab's Tailscale is not built: `go run ./cmd/labbuild tailnet` in the folder lab builds it")
	}
	return built[0]
}

func writesOf(s *Server) (wrote []Entry) {
	for _, e := range s.book.since(0) {
		if e.Write {
			wrote = append(wrote, e)
		}
	}
	return wrote
}

// namespace runs the daemon in namespaces of its own and returns what runs a
// shell line beside it; `ts` is the client.
func namespace(t *testing.T, dir, daemon string) func(line string) string {
	t.Helper()
	const prelude = `set -e
ip link set lo up
ip addr add 10.0.2.101/32 dev lo
mount -t tmpfs tmpfs /run
socat TCP-LISTEN:80,bind=10.0.2.101,fork,reuseaddr UNIX-CONNECT:%[1]s/control &
socat TCP-LISTEN:443,bind=10.0.2.101,fork,reuseaddr UNIX-CONNECT:%[1]s/relay &
ln -s %[2]s %[1]s/tailscale
# There is nothing but lo here, which it would take for no network at all.
TS_ASSUME_NETWORK_UP_FOR_TEST=1 %[2]s --state=%[1]s/node.state --socket=%[1]s/node --no-logs-no-support >%[1]s/log 2>&1 &
until [ -S %[1]s/node ]; do kill -0 $!; sleep 0.1; done
set +e
ts() { %[1]s/tailscale --socket=%[1]s/node "$@" 2>&1; }
settings="--login-server=http://10.0.2.101 --hostname=oldpc --advertise-tags=tag:homelab --accept-dns=false --timeout=60s"
echo ready
while read -r line; do eval "$line"; printf '\0'; done
`
	ctx, cancel := context.WithCancel(context.Background())
	shell := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", fmt.Sprintf(prelude, dir, daemon))
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
