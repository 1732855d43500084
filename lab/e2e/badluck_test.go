//go:build e2e

package e2e

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/omkar619-dev/ssg-bootstrap/lab/link"
	"github.com/omkar619-dev/ssg-bootstrap/lab/mirror"
)

// TestBadLuck does to a real box what the hermetic tests do to a model of one:
// each part must end with a clear error and the next command, and lose nothing.
func TestBadLuck(t *testing.T) {
	b := newBox(t)
	inOrder(t, []part[func(*testing.T, *box)]{
		{"who we are and whom we talk to", logins},
		{"a download that was tampered with", tamperedDownload},
		{"a port that is taken", portTaken},
		{"a clock that is a year off", clockOff},
		{"a read-only root", readOnlyRoot},
		{"a disk that fills up during the upload", diskFillsUp},
		{"two runs at a time, and Ctrl-C", twoRuns},
	}, func(t *testing.T, run func(*testing.T, *box)) { run(t, b) })
}

// says fails the test unless the error holds the words.
func (r result) says(t *testing.T, words ...string) {
	t.Helper()
	text := r.Error.Message + "\n" + r.Error.Evidence + "\n" + r.Error.Next
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the error does not say %q:\n%s", w, text)
		}
	}
}

func logins(t *testing.T, b *box) {
	// edited is a client whose configuration has news in place of old.
	edited := func(old, news string) *client {
		c := b.newClient(t, b.client.bin, b.mirror)
		text, err := os.ReadFile(c.config)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), old) {
			t.Fatalf("the configuration has no %q:\n%s", old, text)
		}
		writeFile(t, c.config, strings.ReplaceAll(string(text), old, news))
		return c
	}
	knows := func(lines string) *client {
		file := filepath.Join(t.TempDir(), "known_hosts")
		writeFile(t, file, lines)
		return edited(b.guest.KnownHostsFile(), file)
	}
	install := []string{"install", "--host", hostName}
	knows("").refused(t, 4, "host-key-unknown", install...).says(t, "SHA256:", "--host-key")
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	other := fmt.Sprintf("[127.0.0.1]:%d %s", b.link.Port(), ssh.MarshalAuthorizedKey(key))
	knows(other).refused(t, 4, "host-key-changed", install...).says(t, "SHA256:")
	edited("user: owner", "user: nobody").refused(t, 4, "auth-refused", install...).says(t, "nobody")
	wrong := b.newClient(t, b.client.bin, b.mirror)
	wrong.env = []string{"SSG_SUDO_PASSWORD=canary-wrong"}
	r := wrong.refused(t, 4, "sudo-refused", install...)
	r.says(t, "SSG_SUDO_PASSWORD")
	if strings.Contains(r.Error.Message+r.Error.Evidence, "canary") {
		t.Error("the error shows the password")
	}
	edited(fmt.Sprintf("port: %d", b.link.Port()), "port: 1").refused(t, 4, "unreachable", install...)
}

func tamperedDownload(t *testing.T, b *box) {
	url := serveMirror(t, b.lab.Mirror(), mirror.Fault{File: "k3s", Corrupt: 1 << 20})
	c := b.newClient(t, b.client.bin, url)
	c.refused(t, 1, "digest-mismatch", "install", "--host", hostName, "--only", "k3s-binary")
	if got := b.root(t, "ls /usr/local/bin/k3s 2>/dev/null || true"); got != "" {
		t.Errorf("on the box: %s", got)
	}
}

func portTaken(t *testing.T, b *box) {
	b.root(t, "systemd-run -q --unit=squatter systemd-socket-activate -l 6443 /bin/cat\nuntil ss -Hltn 'sport = :6443' | grep -q .; do sleep 0.2; done")
	defer b.root(t, "systemctl stop squatter")
	b.client.refused(t, 5, "preflight-refused", "install", "--host", hostName).says(t, "6443", "squatter")
}

func clockOff(t *testing.T, b *box) {
	// Which of the two clocks is wrong by so much is not ours to say.
	b.root(t, fmt.Sprintf("date -s @%d", time.Now().Add(366*24*time.Hour).Unix()))
	b.client.refused(t, 5, "preflight-refused", "install", "--host", hostName, "--only", "clock").says(t, "differs from this computer's by 878", "timedatectl")
	b.root(t, fmt.Sprintf("date -s @%d", time.Now().Add(-10*time.Minute).Unix()))
	b.client.must(t, "install", "--host", hostName, "--only", "clock")
	seconds, err := strconv.ParseInt(strings.TrimSpace(b.root(t, "date +%s")), 10, 64)
	if off := time.Since(time.Unix(seconds, 0)).Abs(); err != nil || off > 10*time.Second {
		t.Errorf("the clock is off by %s, %v", off, err)
	}
}

func readOnlyRoot(t *testing.T, b *box) {
	if err := b.guest.RemountReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.client.refused(t, 5, "preflight-refused", "install", "--host", hostName).says(t, "read-only", "remount,rw")
	b.root(t, "mount -o remount,rw /")
}

// fillDisk takes all room, what is reserved for root too.
const fillDisk = `mkdir /full
i=0
for size in 4G 256M 8M 1M; do
  while fallocate -l "$size" "/full/$i" 2>/dev/null; do i=$((i + 1)); done
  rm -f "/full/$i"
done`

func diskFillsUp(t *testing.T, b *box) {
	const size = 40 << 20
	c, _ := b.fakeRelease(t, "v1.36.4+k3s93", size)
	b.link.SetRate(8 * link.Mbit)
	defer b.link.SetRate(0)
	install := []string{"install", "--host", hostName, "--only", "k3s-binary"}
	b.root(t, "rm -rf /full /usr/local/bin/k3s /var/lib/ssg-bootstrap/k3s.record") // of an earlier run on the same box
	third := make(chan struct{})
	reached := false
	r := c.start(t, func(e event) {
		if e.Step == "k3s-binary" && e.Kind == "progress" && e.Done > size/3 && !reached {
			reached = true
			close(third)
		}
	}, install...)
	await(t, r, third, "a third of the upload")
	b.root(t, fillDisk)
	if exit := r.wait(t); exit != 1 {
		t.Fatalf("exit %d\n%s", exit, r.log())
	}
	failed := r.result(t)
	if failed.Error == nil || failed.Error.Code != "disk-full" {
		t.Fatalf("%+v", failed.Error)
	}
	failed.says(t, "free", "run the same command again")
	c.refused(t, 5, "preflight-refused", install...).says(t, "MiB free", "free space")
	b.root(t, "rm -r /full")
	arrived, err := strconv.ParseInt(strings.TrimSpace(b.root(t, `cat /var/lib/ssg-bootstrap/uploads/*.part | wc -c`)), 10, 64)
	if err != nil || arrived < size/4 {
		t.Fatalf("%d bytes are left of the upload, %v", arrived, err)
	}
	before := b.link.Stats().Up
	c.must(t, install...)
	if sent := b.link.Stats().Up - before; sent > size-arrived+size/20+1<<20 {
		t.Errorf("%d bytes were sent for the %d that were missing", sent, size-arrived)
	}
}

func twoRuns(t *testing.T, b *box) {
	c, _ := b.fakeRelease(t, "v1.36.4+k3s94", 30<<20)
	b.link.SetRate(4 * link.Mbit)
	defer b.link.SetRate(0)
	install := []string{"install", "--host", hostName, "--only", "k3s-binary"}
	begun := make(chan struct{})
	sending := false
	first := c.start(t, func(e event) {
		if e.Kind == "progress" && e.Step == "k3s-binary" && e.Done > 1<<20 && !sending {
			sending = true
			close(begun)
		}
	}, install...)
	await(t, first, begun, "the upload")
	second := c.refused(t, 1, "locked", install...)
	second.says(t, fmt.Sprintf("pid %d", first.cmd.Process.Pid))
	if err := first.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if exit := first.wait(t); exit != 130 {
		t.Errorf("Ctrl-C: exit %d\n%s", exit, first.log())
	}
	if r := first.result(t); r.Error == nil || r.Error.Code != "interrupted" || !strings.HasSuffix(r.Error.Next, strings.Join(install, " ")) {
		t.Errorf("Ctrl-C: %+v", r.Error)
	}
	b.link.SetRate(0)
	c.must(t, install...) // the lock is gone with its holder
}
