package runner_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
	"github.com/omkar619-dev/ssg-bootstrap/lab/runner"
)

// nobody runs the runner when the tests run as root, which it refuses to be.
const nobody = 65534

// compiled builds the two programs once for all tests.
var compiled = sync.OnceValues(func() (runner.Programs, error) {
	dir, err := os.MkdirTemp("", "runner-programs-")
	if err != nil {
		return runner.Programs{}, err
	}
	build := exec.Command("go", "build", "-ldflags", "-X main.version="+github.RunnerVersion, "-o", dir, "./listener", "./node")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return runner.Programs{}, fmt.Errorf("%w: %s", err, out)
	}
	return runner.Programs{Listener: filepath.Join(dir, "listener"), Node: filepath.Join(dir, "node")}, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if programs, err := compiled(); err == nil {
		os.RemoveAll(filepath.Dir(programs.Listener))
	}
	os.Exit(code)
}

// packed is the package without padding, made once for all tests.
var packed = sync.OnceValues(func() ([]byte, error) { return packWith(0) })

func packWith(padding int64) ([]byte, error) {
	programs, err := compiled()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = runner.Pack(&out, programs, padding)
	return out.Bytes(), err
}

func TestPackageHasWhatTheRealOneHas(t *testing.T) {
	content, err := packed()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := packWith(0); err != nil || !bytes.Equal(content, again) {
		t.Errorf("the same package has other bytes each time, %v", err)
	}
	if large, err := packWith(1 << 20); err != nil || len(large)-len(content) < 1<<20 {
		t.Errorf("a megabyte of padding adds %d bytes, %v", len(large)-len(content), err)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode
	}
	for name, mode := range map[string]int64{
		"./config.sh": 0o755, "./run.sh": 0o755, "./env.sh": 0o755, "./safe_sleep.sh": 0o755, "./run-helper.sh.template": 0o644,
		"./bin/": 0o755, "./bin/Runner.Listener": 0o755, "./bin/RunnerService.js": 0o644, "./bin/runsvc.sh": 0o755,
		"./bin/actions.runner.service.template": 0o644, "./bin/systemd.svc.sh.template": 0o644,
		"./bin/installdependencies.sh": 0o755, "./externals/node20/bin/node": 0o755,
	} {
		if got, there := modes[name]; !there || got != mode {
			t.Errorf("%s: mode %o, in the package: %t", name, got, there)
		}
	}
	if _, there := modes["./svc.sh"]; there {
		t.Error("svc.sh is in the package, where the real one makes it when it is configured")
	}
}

// machine is where runners are unpacked, with a GitHub that they reach.
type machine struct {
	github *github.Server
	url    string
	bin    string // goes before the search path
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	server, err := github.New(github.Options{Mirror: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	m := &machine{github: server, url: listener.URL, bin: openDir(t)}
	m.program(t, "ldconfig", "echo '	libicuuc.so.76 -> libicuuc.so.76.1'")
	return m
}

// program puts a command of the test's own before those of the system.
func (m *machine) program(t *testing.T, name, script string) {
	t.Helper()
	path := filepath.Join(m.bin, name)
	// For another user too, whatever the umask of who runs the test.
	if err := errors.Join(os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755), os.Chmod(path, 0o755)); err != nil {
		t.Fatal(err)
	}
}

// openDir is a folder that another user may enter, which t.TempDir's are not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "runner-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// installation is an unpacked runner and whom it runs as.
type installation struct {
	*machine
	root string
	user *syscall.Credential
}

func (m *machine) unpack(t *testing.T) installation {
	t.Helper()
	content, err := packed()
	if err != nil {
		t.Fatal(err)
	}
	i := installation{machine: m, root: openDir(t)}
	unpack := exec.Command("tar", "--no-same-owner", "-xzf", "-", "-C", i.root)
	unpack.Stdin = bytes.NewReader(content)
	if os.Geteuid() == 0 {
		if err := os.Chown(i.root, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		i.user = &syscall.Credential{Uid: nobody, Gid: nobody}
		unpack.SysProcAttr = &syscall.SysProcAttr{Credential: i.user}
	}
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	return i
}

func (i installation) command(ctx context.Context, env []string, argv ...string) *exec.Cmd {
	// The umask is a box's, not that of who runs the test.
	command := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `umask 022; exec "$@"`, "sh"}, argv...)...)
	command.Dir = i.root
	command.Env = append([]string{"PATH=" + i.bin + ":/usr/bin:/bin", "LANG=C.UTF-8"}, env...)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: i.user}
	return command
}

// config runs config.sh; the token is in the environment.
func (i installation) config(t *testing.T, token string, args ...string) (string, error) {
	t.Helper()
	out, err := i.command(t.Context(), []string{"ACTIONS_RUNNER_INPUT_TOKEN=" + token}, append([]string{"./config.sh"}, args...)...).CombinedOutput()
	return string(out), err
}

// install is config.sh with all that it needs, and a name.
func (i installation) install(t *testing.T, name string, more ...string) (string, error) {
	t.Helper()
	args := append([]string{"--unattended", "--url", i.url + "/" + github.DefaultRepository, "--name", name}, more...)
	return i.config(t, i.token(t, "registration-token"), args...)
}

func (i installation) mustInstall(t *testing.T, name string, more ...string) {
	t.Helper()
	if out, err := i.install(t, name, more...); err != nil {
		t.Fatalf("config.sh: %v\n%s", err, out)
	}
}

// refused fails the test unless config.sh ended with 1 and said so.
func refused(t *testing.T, out string, err error, says string) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, says) {
		t.Errorf("%v, want exit 1 and %q:\n%s", err, says, out)
	}
}

func (m *machine) token(t *testing.T, what string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/api/v3/repos/"+github.DefaultRepository+"/actions/runners/"+what, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+m.github.Token(true))
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(body), `"token":"`)
	token, _, found := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("%s: %s", what, body)
	}
	return token
}

func (i installation) has(name string) bool {
	_, err := os.Stat(filepath.Join(i.root, name))
	return err == nil
}

func (i installation) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(i.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func labelsOf(r github.Runner) string {
	var names []string
	for _, l := range r.Labels {
		names = append(names, l.Name+":"+l.Type)
	}
	return strings.Join(names, " ")
}

func TestRootIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be refused for being root")
	}
	i := newMachine(t).unpack(t)
	i.user = nil
	out, err := i.install(t, "oldpc")
	refused(t, out, err, "Must not run with sudo")
	if i.has(".runner") || len(i.github.Runners()) > 0 {
		t.Error("root has registered a runner")
	}
}

func TestWithoutICUNothingIsConfigured(t *testing.T) {
	m := newMachine(t)
	m.program(t, "ldconfig", "echo '	libz.so.1 -> libz.so.1.3'")
	i := m.unpack(t)
	out, err := i.install(t, "oldpc")
	refused(t, out, err, "libicu is missing")
	if i.has(".runner") {
		t.Error("it was configured")
	}
}

func TestConfigured(t *testing.T) {
	i := newMachine(t).unpack(t)
	i.mustInstall(t, "oldpc", "--labels", "oldpc,core2duo", "--work", "jobs")
	for name, mode := range map[string]os.FileMode{".runner": 0o644, ".credentials": 0o644, ".credentials_rsaparams": 0o600, ".path": 0o644, ".env": 0o644, "svc.sh": 0o755} {
		info, err := os.Stat(filepath.Join(i.root, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want mode %o", name, info, err, mode)
		}
	}
	if i.has(".service") {
		t.Error(".service is there before the service is")
	}
	if kept := i.read(t, ".runner"); !strings.HasPrefix(kept, "\ufeff{") || !strings.Contains(kept, `"agentName": "oldpc"`) || !strings.Contains(kept, `"workFolder": "jobs"`) {
		t.Errorf(".runner is %q", kept)
	}
	if path := i.read(t, ".path"); path != i.bin+":/usr/bin:/bin\n" {
		t.Errorf(".path is %q", path)
	}
	if env := i.read(t, ".env"); env != "LANG=C.UTF-8\n" {
		t.Errorf(".env is %q", env)
	}
	if script := i.read(t, "svc.sh"); !strings.Contains(script, `name="actions.runner.omkar619-dev-studentsystemgo.oldpc.service"`) {
		t.Errorf("svc.sh is %s", script)
	}
	runners := i.github.Runners()
	if len(runners) != 1 || runners[0].Name != "oldpc" || runners[0].Version != github.RunnerVersion || runners[0].Status != "offline" {
		t.Fatalf("%+v", runners)
	}
	if got, want := labelsOf(runners[0]), "self-hosted:read-only Linux:read-only X64:read-only oldpc:custom core2duo:custom"; got != want {
		t.Errorf("labels %q, want %q", got, want)
	}
	out, err := i.install(t, "oldpc", "--replace")
	refused(t, out, err, "already configured")
}

func TestTokenIsTakenFromTheEnvironment(t *testing.T) {
	i := newMachine(t).unpack(t)
	// Whatever runs meanwhile may list all command lines.
	i.program(t, "ldd", "true")
	i.program(t, "id", `tr '\0' ' ' <"/proc/$PPID/cmdline" >>"`+filepath.Join(i.root, "seen")+`"; exec /usr/bin/id "$@"`)
	i.mustInstall(t, "oldpc")
	seen := i.read(t, "seen")
	if !strings.Contains(seen, "config.sh") || strings.Contains(seen, "token") {
		t.Errorf("command lines: %s", seen)
	}
	other := i.unpack(t)
	out, err := other.config(t, "", "--unattended", "--url", i.url+"/"+github.DefaultRepository, "--name", "second")
	refused(t, out, err, "token")
}

func TestSameName(t *testing.T) {
	m := newMachine(t)
	first, second := m.unpack(t), m.unpack(t)
	first.mustInstall(t, "oldpc", "--labels", "one,two")
	was := m.github.Runners()[0]
	out, err := second.install(t, "oldpc")
	refused(t, out, err, "exists with the same name")
	out, err = second.install(t, "oldpc", "--replace", "true")
	refused(t, out, err, "Unrecognized")
	second.mustInstall(t, "oldpc", "--replace", "--labels", "three")
	now := m.github.Runners()
	if len(now) != 1 || now[0].ID != was.ID || labelsOf(now[0]) != "self-hosted:read-only Linux:read-only X64:read-only three:custom" {
		t.Errorf("after --replace: %+v", now)
	}
	// The first one's key is no longer the runner's.
	if code, log := first.start(t).end(t); code != 1 || !strings.Contains(log, "registration has been deleted") {
		t.Errorf("the one that was replaced: exit %d\n%s", code, log)
	}
}

func TestOldVersionsAndWrongTokensAreRefused(t *testing.T) {
	m := newMachine(t)
	i := m.unpack(t)
	if err := m.github.MinVersion("2.999.0"); err != nil {
		t.Fatal(err)
	}
	out, err := i.install(t, "oldpc")
	refused(t, out, err, "deprecated")
	if err := m.github.MinVersion("2.329.0"); err != nil {
		t.Fatal(err)
	}
	args := []string{"--unattended", "--url", i.url + "/" + github.DefaultRepository, "--name", "oldpc"}
	out, err = i.config(t, m.token(t, "remove-token"), args...)
	refused(t, out, err, "Http response code: NotFound")
	args[2] = i.url + "/omkar619-dev/other"
	out, err = i.config(t, m.token(t, "registration-token"), args...)
	refused(t, out, err, "Http response code: NotFound")
	if i.has(".runner") || i.has(".credentials_rsaparams") {
		t.Error("a refusal leaves files")
	}
}

func TestRemove(t *testing.T) {
	m := newMachine(t)
	i := m.unpack(t)
	i.mustInstall(t, "oldpc")
	if err := os.WriteFile(filepath.Join(i.root, ".service"), []byte("x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := i.config(t, m.token(t, "remove-token"), "remove")
	refused(t, out, err, "Uninstall service first")
	if err := os.Remove(filepath.Join(i.root, ".service")); err != nil {
		t.Fatal(err)
	}
	out, err = i.config(t, m.token(t, "registration-token"), "remove")
	refused(t, out, err, "NotFound")
	if out, err := i.config(t, m.token(t, "remove-token"), "remove"); err != nil || len(m.github.Runners()) > 0 || i.has(".runner") {
		t.Errorf("remove: %v, %+v\n%s", err, m.github.Runners(), out)
	}
	i.mustInstall(t, "oldpc")
	if out, err := i.config(t, "", "remove", "--local"); err != nil || len(m.github.Runners()) != 1 || i.has(".credentials") {
		t.Errorf("remove --local: %v, %+v\n%s", err, m.github.Runners(), out)
	}
	i.mustInstall(t, "oldpc", "--replace")
}

// running is a listener or a service in the background.
type running struct {
	cmd  *exec.Cmd
	log  *buffer
	done chan struct{}
}

// buffer is written by a process and read by a test.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start runs the listener, or what is named instead.
func (i installation) start(t *testing.T, argv ...string) *running {
	t.Helper()
	if len(argv) == 0 {
		argv = []string{"./bin/Runner.Listener", "run"}
	}
	r := &running{cmd: i.command(context.WithoutCancel(t.Context()), nil, argv...), log: &buffer{}, done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // its exit code is asked for
		close(r.done)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
	})
	return r
}

// end waits for the end.
func (r *running) end(t *testing.T) (code int, log string) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("still runs:\n%s", r.log)
	}
	return r.cmd.ProcessState.ExitCode(), r.log.String()
}

// await waits until the runner has a status.
func (m *machine) await(t *testing.T, status string, log *buffer) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if runners := m.github.Runners(); len(runners) == 1 && runners[0].Status == status {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%+v, want %s\n%s", m.github.Runners(), status, log)
		case <-tick.C:
		}
	}
}

func TestListener(t *testing.T) {
	m := newMachine(t)
	i := m.unpack(t)
	if code, log := i.start(t).end(t); code != 1 || !strings.Contains(log, "Not configured") {
		t.Errorf("before config.sh: exit %d\n%s", code, log)
	}
	i.mustInstall(t, "oldpc")
	for code, order := range map[int]func() error{
		0: nil, // an interrupt
		1: func() error { return m.github.Exit("oldpc", 1) },
		2: func() error { return m.github.Exit("oldpc", 2) },
		5: func() error { return m.github.Exit("oldpc", 5) },
	} {
		r := i.start(t)
		m.await(t, "online", r.log)
		if order == nil {
			order = func() error { return r.cmd.Process.Signal(os.Interrupt) }
		}
		if err := order(); err != nil {
			t.Fatal(err)
		}
		got, log := r.end(t)
		if got != code || !strings.Contains(log, "Listening for Jobs") {
			t.Errorf("exit %d, want %d\n%s", got, code, log)
		}
		// Who leaves in order is offline at once, and the next one can begin.
		m.await(t, "offline", r.log)
	}
	logs, err := filepath.Glob(filepath.Join(i.root, "_diag", "Runner_*-utc.log"))
	if err != nil || len(logs) == 0 {
		t.Errorf("no log in _diag: %v", err)
	}
}

// deleteRunner asks the API to drop the runner and returns the status.
func (m *machine) deleteRunner(t *testing.T) int {
	t.Helper()
	address := fmt.Sprintf("%s/repos/%s/actions/runners/%d", m.url, github.DefaultRepository, m.github.Runners()[0].ID)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+m.github.Token(true))
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func (m *machine) busy(t *testing.T, busy bool) {
	t.Helper()
	if err := m.github.Busy("oldpc", busy); err != nil {
		t.Fatal(err)
	}
	if got := m.github.Runners()[0].Busy; got != busy {
		t.Errorf("busy is %t, want %t", got, busy)
	}
}

func TestForgottenRunnerEnds(t *testing.T) {
	for name, forget := range map[string]func(*testing.T, *machine){
		"after two weeks": func(t *testing.T, m *machine) {
			if err := m.github.Forget("oldpc"); err != nil {
				t.Fatal(err)
			}
		},
		"by the API": func(t *testing.T, m *machine) {
			m.busy(t, true)
			if got := m.deleteRunner(t); got != http.StatusUnprocessableEntity {
				t.Errorf("while a job runs: %d", got)
			}
			m.busy(t, false)
			if got := m.deleteRunner(t); got != http.StatusNoContent {
				t.Errorf("delete: %d", got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			i := m.unpack(t)
			i.mustInstall(t, "oldpc")
			r := i.start(t)
			m.await(t, "online", r.log)
			forget(t, m)
			if code, log := r.end(t); code != 1 || !strings.Contains(log, "registration has been deleted") {
				t.Errorf("exit %d\n%s", code, log)
			}
		})
	}
}

func TestDeprecatedVersionGetsNoWork(t *testing.T) {
	m := newMachine(t)
	i := m.unpack(t)
	i.mustInstall(t, "oldpc")
	if err := m.github.Deprecate(github.RunnerVersion, "past"); err != nil {
		t.Fatal(err)
	}
	if code, log := i.start(t).end(t); code != 1 || !strings.Contains(log, "cannot receive messages") {
		t.Errorf("exit %d\n%s", code, log)
	}
}

// The service is what the unit starts: it is stopped by SIGTERM, starts the
// listener again after an update, and then has a runsvc.sh without content.
func TestService(t *testing.T) {
	m := newMachine(t)
	i := m.unpack(t)
	i.mustInstall(t, "oldpc")
	service := i.read(t, "bin/runsvc.sh")
	script := filepath.Join(i.root, "runsvc.sh")
	if err := os.WriteFile(script, []byte(service), 0o755); err != nil {
		t.Fatal(err)
	}
	if i.user != nil {
		if err := os.Chown(script, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	// As the unit does: the shell reads the script as it goes, and it is about
	// to lose its content.
	r := i.start(t, script)
	m.await(t, "online", r.log)
	if err := m.github.Update("oldpc"); err != nil {
		t.Fatal(err)
	}
	m.await(t, "offline", r.log)
	if content := i.read(t, "runsvc.sh"); content != "" {
		t.Errorf("runsvc.sh has %q", content)
	}
	logs, err := filepath.Glob(filepath.Join(i.root, "_diag", "SelfUpdate-*.log"))
	if err != nil || len(logs) != 1 {
		t.Errorf("logs of the update: %v, %v", logs, err)
	}
	m.await(t, "online", r.log)
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code, log := r.end(t)
	m.await(t, "offline", r.log)
	for _, want := range []string{"re-launch runner in 5s", "Shutting down runner listener", "Exiting..."} {
		if !strings.Contains(log, want) {
			t.Errorf("exit %d, no %q in\n%s", code, want, log)
		}
	}
	// The unit would start the script with nothing in it, and end at once.
	if code, log := i.start(t, "bash", script).end(t); code != 0 || log != "" {
		t.Errorf("an empty runsvc.sh: exit %d, %q", code, log)
	}
}

// belongTo gives all files to a user. In a namespace only one's own can be
// written.
func (i installation) belongTo(t *testing.T, uid int) {
	t.Helper()
	if i.user == nil {
		return
	}
	err := filepath.WalkDir(i.root, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// svc.sh is root's; a namespace of its own stands in for the machine.
func TestServiceScript(t *testing.T) {
	i := newMachine(t).unpack(t)
	i.mustInstall(t, "oldpc")
	out, err := i.command(t.Context(), nil, "./svc.sh", "install", "nobody").CombinedOutput()
	refused(t, string(out), err, "Must run as sudo")
	called := filepath.Join(i.bin, "called")
	i.program(t, "systemctl", `echo "$@" >>`+called)
	script := `set -eu
mount -t tmpfs none /etc/systemd
mkdir /etc/systemd/system
./svc.sh install root
if ./svc.sh install root; then echo "a second install went through"; fi
cat .service runsvc.sh
cat "/etc/systemd/system/$(cat .service)"
./svc.sh start
./svc.sh stop
./svc.sh uninstall
ls -A /etc/systemd/system .service 2>/dev/null || true
`
	i.belongTo(t, os.Geteuid())
	i.user = nil
	command := i.command(t.Context(), nil, "unshare", "--map-root-user", "--mount", "sh", "-c", script)
	probe := i.command(t.Context(), nil, "unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/etc/systemd")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("no namespace to be root in: %v: %s", err, out)
	}
	out, err = command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const unit = "actions.runner.omkar619-dev-studentsystemgo.oldpc.service"
	for _, want := range []string{
		"error: exists /etc/systemd/system/" + unit, "\n" + unit + "\n", i.read(t, "bin/runsvc.sh"),
		"ExecStart=" + i.root + "/runsvc.sh\nUser=root\nWorkingDirectory=" + i.root + "\nKillMode=process\n",
		"Description=GitHub Actions Runner (omkar619-dev-studentsystemgo.oldpc)\nAfter=network-online.target\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "went through") || i.has(".service") {
		t.Errorf("%s", out)
	}
	calls, err := os.ReadFile(called)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"daemon-reload", "enable " + unit, "start " + unit, "stop " + unit, "stop " + unit, "disable " + unit, "daemon-reload"}
	if got := strings.Split(strings.TrimSpace(string(calls)), "\n"); !slices.Equal(got, want) {
		t.Errorf("systemctl was called with %q, want %q", got, want)
	}
}
