// Package hosttest has boxes to test against.
//
// It keeps the promise that a test which passes says something about a real
// box: Box is a real SSH server on loopback whose commands run in a POSIX
// shell against a folder that stands for the disk, with the real coreutils;
// only what needs a machine of its own (systemd, sudo, k3s, nft) is a model in
// Go. A command that neither exists nor is modelled fails the test. Fake is
// the small in-memory Reader for tables.
//
// A Box is used like this:
//
//	box := hosttest.New(t, hosttest.Config{SudoPassword: "secret"})
//	box.WriteFile("/proc/cpuinfo", cpuinfo, 0o444)
//	box.Command("nft", func(c *hosttest.Call) int { … return 0 })
//	client := box.Connect(t)
//	… client.Put(ctx, host.File{Path: "/etc/x", …})
//	box.ReadFile("/etc/x")
//
// The disk and the units outlive connections; PowerCut ends everything that
// runs and empties /run.
package hosttest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Config says what box to make. The zero value is a Debian box with the user
// "ssg", who logs in with a key and may become root without a password.
type Config struct {
	// User logs in; "root" needs no sudo.
	User string
	// Password allows logging in with a password as well.
	Password string
	// Interactive asks for Password by keyboard-interactive instead.
	Interactive bool
	// NoKey refuses the user's key.
	NoKey bool
	// SudoPassword is asked for by sudo; empty means that none is needed.
	SudoPassword string
	// NoSudo keeps the user out of the sudo group.
	NoSudo bool
	// Greeting is what the login shell's startup files print, as they should
	// not.
	Greeting string
	// Dir holds the box's state; empty for a folder that is removed.
	Dir string
}

// Box is an SSH server with a disk, in this process.
type Box struct {
	cfg  Config
	dir  string
	root string
	fail func(format string, args ...any)

	listener net.Listener
	userKey  ed25519.PrivateKey
	ctx      context.Context
	stop     context.CancelFunc
	serving  sync.WaitGroup
	// Link is the way to the box: cut it, stall it, count on it.
	Link *Link
	// Systemd is the box's model of systemd.
	Systemd *Systemd

	mu       sync.Mutex
	hostKey  ssh.Signer
	moreKeys []ssh.Signer
	commands map[string]func(*Call) int
	log      []Entry
	wire     []string
	locks    map[string]bool
	lends    map[string]string // where this computer's programs are, by name
	running  int
	idle     chan struct{}
	power    context.Context
	powerOff context.CancelFunc
}

// Entry is one program that ran on the box.
type Entry struct {
	Argv []string
	Root bool
}

// String returns the command line.
func (e Entry) String() string { return strings.Join(e.Argv, " ") }

// New starts a box that is stopped when the test ends.
func New(t testing.TB, cfg Config) *Box {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	b, err := Start(cfg, t.Errorf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// Start starts a box; fail is told when a command is run that the box does
// not know. Config.Dir must be set.
func Start(cfg Config, fail func(format string, args ...any)) (*Box, error) {
	if cfg.User == "" {
		cfg.User = "ssg"
	}
	dir, err := filepath.EvalSymlinks(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("start box: %w", err)
	}
	b := &Box{
		cfg: cfg, dir: dir, root: filepath.Join(dir, "box-disk"), fail: fail,
		commands: make(map[string]func(*Call) int), locks: make(map[string]bool), lends: make(map[string]string), Link: newLink(), idle: make(chan struct{}),
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.power, b.powerOff = context.WithCancel(b.ctx)
	b.Systemd = newSystemd(b)
	if err := errors.Join(b.makeKeys(), b.makeDisk()); err != nil {
		return nil, fmt.Errorf("start box: %w", err)
	}
	b.models()
	if b.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start box: %w", err)
	}
	b.serving.Go(b.accept)
	return b, nil
}

// Close stops the box and everything that runs on it.
func (b *Box) Close() {
	_ = b.listener.Close()
	b.stop()
	// One that was accepted and not admitted yet would be served for as long as
	// its client likes.
	b.Link.Refuse(true)
	b.Link.cut()
	b.serving.Wait()
}

func (b *Box) makeKeys() error {
	b.ReplaceHostKey()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	b.userKey = key
	block, err := ssh.MarshalPrivateKey(key, "box")
	if err != nil {
		return err
	}
	return os.WriteFile(b.keyFile(), pem.EncodeToMemory(block), 0o600)
}

func (b *Box) keyFile() string    { return filepath.Join(b.dir, "id_ed25519") }
func (b *Box) knownHosts() string { return filepath.Join(b.dir, "known_hosts") }

// makeDisk makes the folders that every Debian has.
func (b *Box) makeDisk() error {
	var errs []error
	for _, d := range []string{
		"etc/systemd/system", "etc/default", "etc/sysctl.d", "etc/modules-load.d", "home/" + b.cfg.User, "proc/sys",
		"root", "run/systemd", "sys", "tmp", "usr/local/bin", "usr/local/lib", "usr/bin", "usr/sbin", "var/lib", "var/log",
	} {
		errs = append(errs, os.MkdirAll(filepath.Join(b.root, d), 0o755))
	}
	return errors.Join(errs...)
}

// ReplaceHostKey gives the box a new host key, as reinstalling it does.
func (b *Box) ReplaceHostKey() {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		panic(err)
	}
	b.SetHostKey(signer)
}

// SetHostKey gives the box a certain host key.
func (b *Box) SetHostKey(key ssh.Signer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hostKey = key
}

// AddHostKey gives the box a further host key of another type.
func (b *Box) AddHostKey(key ssh.Signer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moreKeys = append(b.moreKeys, key)
}

// HostKey is the public half of the box's host key.
func (b *Box) HostKey() ssh.PublicKey {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hostKey.PublicKey()
}

// Fingerprint is the fingerprint of the box's host key, SHA256:….
func (b *Box) Fingerprint() string { return ssh.FingerprintSHA256(b.HostKey()) }

// Addr is where the box listens.
func (b *Box) Addr() *net.TCPAddr { return b.listener.Addr().(*net.TCPAddr) }

// Target is how to reach the box: with its user's key, and with its host key
// vouched for.
func (b *Box) Target() host.Target {
	return host.Target{
		Name: "box", User: b.cfg.User, Addr: b.Addr().IP.String(), Port: b.Addr().Port,
		IdentityFiles:   []string{b.keyFile()},
		KnownHostsFiles: []string{b.knownHosts()},
		HostKeys:        []string{b.Fingerprint()},
	}
}

// Options fit a test: short beats, and the sudo password if there is one. The
// beats let the box hold a lock for two seconds without one, and when a box counts
// as lost is left as it is: shorter limits run out on a starved computer.
func (b *Box) Options() host.Options {
	return host.Options{
		SudoPassword: secrets.NewValue(b.cfg.SudoPassword),
		LockBeat:     500 * time.Millisecond,
		JobPoll:      50 * time.Millisecond,
	}
}

// Connect logs in to the box until the test ends.
func (b *Box) Connect(t testing.TB) *host.Client {
	t.Helper()
	c, err := host.Connect(t.Context(), b.Target(), b.Options())
	if err != nil {
		t.Fatalf("connect to the box: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Path is where a file of the box lies on this computer.
func (b *Box) Path(path string) string { return filepath.Join(b.root, filepath.Clean("/"+path)) }

// WriteFile puts a file on the box's disk.
func (b *Box) WriteFile(path, content string, mode fs.FileMode) {
	p := b.Path(path)
	err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), mode), os.Chmod(p, mode))
	if err != nil {
		b.fail("write %s on the box: %v", path, err)
	}
}

// ReadFile returns a file of the box's disk, or "" if it is not there.
func (b *Box) ReadFile(path string) string {
	data, err := os.ReadFile(b.Path(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.fail("read %s on the box: %v", path, err)
	}
	return string(data)
}

// Exists tells whether a path exists on the box's disk.
func (b *Box) Exists(path string) bool {
	_, err := os.Lstat(b.Path(path))
	return err == nil
}

// Files lists every file and folder with mode, size and content hash, to be
// compared before and after.
func (b *Box) Files() []string {
	var out []string
	err := filepath.WalkDir(b.root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s", strings.TrimPrefix(path, b.root), info.Mode())
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", info.Size(), digest(data))
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + strings.TrimPrefix(to, b.root)
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		b.fail("list the box's files: %v", err)
	}
	return out
}

// Command models a program of the box; it takes the place of a real one and
// of an earlier model of the same name. nil takes the model away.
func (b *Box) Command(name string, model func(*Call) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.commands[name] = model
}

// Log lists the programs that ran, in the order of their start.
func (b *Box) Log() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}

// Wire lists what crossed the wire as command lines, for canaries: no secret
// may be in any of them.
func (b *Box) Wire() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.wire)
}

// Ran returns the logged command lines that start with prefix.
func (b *Box) Ran(prefix string) []string {
	var out []string
	for _, e := range b.Log() {
		if strings.HasPrefix(e.String(), prefix) {
			out = append(out, e.String())
		}
	}
	return out
}

// PowerCut ends everything that runs, empties /run and starts the box again
// with the same disk. Enabled units start, as at a boot.
func (b *Box) PowerCut() {
	b.mu.Lock()
	b.powerOff()
	b.mu.Unlock()
	b.Link.cut()
	// Nothing that ran before the cut may write after it: a box without power
	// has no processes left when it boots.
	b.Idle()
	b.mu.Lock()
	b.power, b.powerOff = context.WithCancel(b.ctx)
	clear(b.locks)
	b.mu.Unlock()
	if err := errors.Join(os.RemoveAll(b.Path("/run")), os.MkdirAll(b.Path("/run/systemd"), 0o755)); err != nil {
		b.fail("empty /run: %v", err)
	}
	b.Systemd.boot()
}

// hung is how long nothing takes that ends at all, on the busiest computer.
const hung = 2 * time.Minute

// Idle waits until nothing runs on the box, neither a command nor a transient
// unit, as after a cut when commands find the end of their input.
func (b *Box) Idle() {
	deadline := time.NewTimer(hung)
	defer deadline.Stop()
	for {
		b.mu.Lock()
		n, changed := b.running, b.idle
		b.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			b.fail("commands still run on the box after %s", hung)
			return
		}
	}
}

// busy counts a session's command or a transient unit in or out.
func (b *Box) busy(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running += n
	close(b.idle)
	b.idle = make(chan struct{})
}

func (b *Box) powered() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.power
}

func (b *Box) note(argv []string, root bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, Entry{Argv: slices.Clone(argv), Root: root})
}

func (b *Box) model(name string) func(*Call) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.commands[name]
}

// Exec runs a command line on the box as root, without SSH.
func (b *Box) Exec(line string) (string, int) {
	var out bytes.Buffer
	both := &sink{w: &out}
	status := b.shell(true).run(b.powered(), line, nil, nil, both, both)
	return out.String(), status
}

// Call is one run of a modelled program.
type Call struct {
	Box *Box
	Ctx context.Context
	// Args are the program's name and its arguments.
	Args   []string
	Root   bool
	Dir    string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	shell  *shell
	env    []string
}

// Printf writes to the program's standard output.
func (c *Call) Printf(format string, args ...any) { fmt.Fprintf(c.Stdout, format, args...) }

// Errorf writes a line to the program's error output and returns 1.
func (c *Call) Errorf(format string, args ...any) int {
	fmt.Fprintf(c.Stderr, format+"\n", args...)
	return 1
}

// Getenv returns a variable of the program's environment.
func (c *Call) Getenv(name string) string {
	for i := len(c.env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(c.env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// Exec runs another program of the box in the place of this one.
func (c *Call) Exec(argv []string) int { return c.shell.exec(c.Ctx, c, argv) }

// Real runs this computer's program of that name, which a model stands before.
func (c *Call) Real() int { return c.shell.real(c, path.Base(c.Args[0])) }

// As runs another program as root or not.
func (c *Call) As(root bool, argv []string) int {
	return c.Box.shell(root).exec(c.Ctx, c, argv)
}

// Has tells whether one of the arguments is a.
func (c *Call) Has(a string) bool { return slices.Contains(c.Args[1:], a) }
