//go:build e2e

package vm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBox starts a real box: `go test -tags e2e -run TestBox -v ./vm`.
func TestBox(t *testing.T) {
	l, err := Open(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	box, err := l.Up(t.Context(), Options{Name: "vm-test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%s: login %.0f s after the start", box.State().Accel, time.Since(start).Seconds())
	t.Run("is a fresh Debian", func(t *testing.T) { freshDebian(t, box) })
	t.Run("reaches nobody", func(t *testing.T) { reachesNobody(t, box) })
	t.Run("reaches its neighbours", func(t *testing.T) { reachesNeighbours(t, box) })
	t.Run("answers on its LAN address", func(t *testing.T) { answersOnLAN(t, box) })
	t.Run("forgets in a power cut what was not flushed", func(t *testing.T) { powerCut(t, box) })
	t.Run("has a disk that can fail", func(t *testing.T) { readOnly(t, box) })
	t.Run("is new after a reset", func(t *testing.T) { resetBox(t, box) })
}

func root(t *testing.T, box *Guest, script string) string {
	t.Helper()
	out, err := box.RunRoot(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func freshDebian(t *testing.T, box *Guest) {
	if got := root(t, box, "nproc; awk '/MemTotal/{print ($2 > 3900000 && $2 < 4194304)}' /proc/meminfo; blockdev --getsize64 /dev/vda"); got != "2\n1\n500107862016" {
		t.Errorf("CPUs, memory in range, disk: %q", got)
	}
	modules := "zram br_netfilter overlay nf_tables nft_compat xt_comment xt_mark xt_conntrack xt_MASQUERADE xt_statistic vxlan veth bridge ip_set tun wireguard"
	if got := root(t, box, "for m in "+modules+"; do modinfo -n $m >/dev/null || echo $m; done"); got != "" {
		t.Errorf("the kernel lacks %s", got)
	}
	if got := root(t, box, "for p in k3s containerd iptables docker; do command -v $p; done; systemctl --failed --no-legend"); got != "" {
		t.Errorf("not fresh: %s", got)
	}
	if _, err := box.Run(t.Context(), nil, "sudo -n true"); err == nil {
		t.Error("sudo asks for no password")
	}
	t.Log(root(t, box, "free -m"))
}

// reachesNobody tries the workstation, by the address that the emulator's
// network gives it, at a port where someone listens.
func reachesNobody(t *testing.T, box *Guest) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got := root(t, box, "ip route show default"); !strings.HasPrefix(got, "default via") {
		t.Errorf("default route: %q", got)
	}
	for _, address := range []string{"10.0.2.2 " + port, "192.0.2.1 80", "10.0.2.100 443", "10.0.2.101 8080"} {
		host, port, _ := strings.Cut(address, " ")
		if got := root(t, box, "timeout 5 bash -c 'exec 3<>/dev/tcp/"+host+"/"+port+"' 2>/dev/null && echo reached || true"); got != "" {
			t.Errorf("%s was reached", address)
		}
	}
	if got := root(t, box, "timeout 5 getent hosts example.org && echo found || true"); got != "" {
		t.Errorf("a name was found: %s", got)
	}
}

func reachesNeighbours(t *testing.T, box *Guest) {
	for _, n := range neighbours() {
		end := answerOn(t, filepath.Join(box.Dir(), n.socket), n.socket)
		host, port, _ := strings.Cut(n.address, ":")
		got := root(t, box, "timeout 30 bash -c 'exec 3<>/dev/tcp/"+host+"/"+port+` && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' || true`)
		if !strings.HasSuffix(got, n.socket) {
			t.Errorf("%s says %q", n.address, got)
		}
		end()
	}
}

func answersOnLAN(t *testing.T, box *Guest) {
	root(t, box, "systemd-run --quiet --unit=hello --collect perl -MIO::Socket::INET -e "+
		`'my $s = IO::Socket::INET->new(LocalAddr => "10.0.2.15", LocalPort => 80, Listen => 5, ReuseAddr => 1) or die; while (my $c = $s->accept) { print $c "hello"; close $c }'`)
	defer root(t, box, "systemctl stop hello")
	reached := await(t.Context(), time.Minute, func() bool {
		conn, err := net.DialTimeout("tcp4", loopback(box.State().Ports.HTTP), 5*time.Second)
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		got, _ := io.ReadAll(conn)
		return string(got) == "hello"
	})
	if !reached {
		t.Errorf("nobody answers at %s", loopback(box.State().Ports.HTTP))
	}
}

func powerCut(t *testing.T, box *Guest) {
	before := root(t, box, "cat /proc/sys/kernel/random/boot_id; echo kept > /var/tmp/flushed; sync; echo lost > /var/tmp/unflushed")
	start := time.Now()
	if err := box.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := box.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("login %.0f s after the cut", time.Since(start).Seconds())
	after := root(t, box, "cat /proc/sys/kernel/random/boot_id")
	if before == after {
		t.Error("the box did not boot")
	}
	if got := root(t, box, "cat /var/tmp/flushed /var/tmp/unflushed 2>/dev/null || true"); got != "kept" {
		t.Errorf("on the disk: %q", got)
	}
}

func readOnly(t *testing.T, box *Guest) {
	if err := box.RemountReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := box.RunRoot(t.Context(), "touch /var/tmp/x"); err == nil {
		t.Error("the disk can still be written")
	}
}

func resetBox(t *testing.T, box *Guest) {
	known, err := os.ReadFile(box.KnownHostsFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := box.LeadsHere(65000); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := box.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("fresh disk and power after %.1f s", time.Since(start).Seconds())
	if err := box.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("login after %.0f s", time.Since(start).Seconds())
	if got := root(t, box, "ls /var/tmp/flushed 2>/dev/null || true"); got != "" {
		t.Errorf("the past is still there: %s", got)
	}
	now, err := os.ReadFile(box.KnownHostsFile())
	if err != nil || bytes.Equal(now, known) || !bytes.Contains(now, []byte("[127.0.0.1]:65000")) {
		t.Errorf("known_hosts: changed=%t, names the other port=%t, %v", !bytes.Equal(now, known), bytes.Contains(now, []byte(":65000")), err)
	}
	// The old key must not be accepted any more: that is what a reinstallation means.
	if err := os.WriteFile(box.KnownHostsFile(), known, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := box.Await(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with the old known_hosts: %v", err)
	}
}
