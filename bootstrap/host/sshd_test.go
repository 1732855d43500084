package host_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/porttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

// realSSHD starts OpenSSH's server on loopback for the current user and
// returns how to reach it.
func realSSHD(t *testing.T) (host.Target, host.Options, string) {
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd = "/usr/sbin/sshd"; !isFile(sshd) {
			// The model passes the same tests; only CI must have the real one.
			if os.Getenv("CI_REQUIRES_SSHD") != "" {
				t.Fatal("sshd is not installed")
			}
			t.Skip("sshd is not installed: apt-get install openssh-server")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "box"), 0o755))
	hostKey := writeKey(t, filepath.Join(dir, "host_key"))
	userKey := writeKey(t, filepath.Join(dir, "id"))
	must(os.WriteFile(filepath.Join(dir, "authorized_keys"), ssh.MarshalAuthorizedKey(userKey), 0o600))
	bin := filepath.Join(dir, "bin")
	must(os.Mkdir(bin, 0o755))
	if me.Uid == "0" {
		// sshd as root insists on its folder for privilege separation.
		must(os.MkdirAll("/run/sshd", 0o755))
	} else {
		// Without root there is no sudo to be had; what sudo does beyond
		// starting the command is tested against the model.
		must(os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\nwhile :; do case $1 in -p) shift 2;; -*) shift;; *) break;; esac; done\nexec \"$@\"\n"), 0o755))
	}
	port := porttest.Keep(t)
	config := fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
AllowTcpForwarding yes
MaxSessions 7
SetEnv PATH=%s:%s
`, port, filepath.Join(dir, "host_key"), filepath.Join(dir, "authorized_keys"), bin, os.Getenv("PATH"))
	must(os.WriteFile(filepath.Join(dir, "sshd_config"), []byte(config), 0o600))
	var log bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, sshd, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	cmd.Stderr = &log
	cmd.WaitDelay = 2 * time.Second
	must(cmd.Start())
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", log.String())
		}
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	must(wait.Until(t.Context(), wait.Condition{What: "sshd", Every: 20 * time.Millisecond, Stall: time.Minute},
		func(ctx context.Context) (wait.State, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return wait.State{}, err
			}
			return wait.State{Done: true}, c.Close()
		}))
	target := host.Target{
		Name: "sshd", User: me.Username, Addr: "127.0.0.1", Port: port,
		IdentityFiles: []string{filepath.Join(dir, "id")}, HostKeys: []string{ssh.FingerprintSHA256(hostKey)},
		KnownHostsFiles: []string{filepath.Join(dir, "known_hosts")},
	}
	options := host.Options{
		LockBeat: 500 * time.Millisecond, StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"),
		ReconnectStall: 5 * time.Second,
	}
	return target, options, filepath.Join(dir, "box")
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func writeKey(t *testing.T, path string) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func connect(t testing.TB, target host.Target, o host.Options) *host.Client {
	t.Helper()
	c, err := host.Connect(t.Context(), target, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConformanceOfTheModel(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]hosttest.Config{"sudo password": {SudoPassword: "pw"}, "free sudo": {}, "root": {User: "root"}} {
		t.Run(name, func(t *testing.T) {
			box := hosttest.New(t, cfg)
			hosttest.Conformance(t, hosttest.Place{
				Connect: func(t testing.TB) *host.Client { return connect(t, box.Target(), box.Options()) },
				Dir:     "/srv/test", StateDir: "/var/lib/ssg-bootstrap",
			})
		})
	}
}

func TestConformanceOfOpenSSH(t *testing.T) {
	t.Parallel()
	target, o, dir := realSSHD(t)
	hosttest.Conformance(t, hosttest.Place{
		Connect: func(t testing.TB) *host.Client { return connect(t, target, o) },
		Dir:     dir, StateDir: o.StateDir,
	})
}

// TestAnAbandonedCommandDies is for a real sshd only: the model's processes
// are goroutines of this one.
func TestAnAbandonedCommandDies(t *testing.T) {
	t.Parallel()
	target, o, dir := realSSHD(t)
	c := connect(t, target, o)
	defer c.Close()
	for _, root := range []bool{false, true} {
		file := filepath.Join(dir, fmt.Sprint("pid-", root))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := c.Run(ctx, host.Command{Argv: []string{"sh", "-c", `echo $$ >"$1.new"; mv "$1.new" "$1"; sleep 300; echo late`, "sh", file}, Root: root})
			ended <- err
		}()
		var pid string
		until(t, "the command to start", func() bool {
			data, err := os.ReadFile(file)
			pid = strings.TrimSpace(string(data))
			return err == nil
		})
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		until(t, "the abandoned command to die", func() bool { return !isFile("/proc/"+pid+"/cwd") && !isFile("/proc/"+pid) })
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	err := wait.Until(t.Context(), wait.Condition{What: what, Every: 20 * time.Millisecond, Stall: time.Minute},
		func(context.Context) (wait.State, error) { return wait.State{Done: done()}, nil })
	if err != nil {
		t.Fatal(err)
	}
}
