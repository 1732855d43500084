package chart

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/porttest"
)

// program finds a program, or says why the test cannot run. The given folders
// come first.
func program(t *testing.T, name string, dirs ...string) string {
	t.Helper()
	for _, dir := range append(append(dirs, filepath.SplitList(os.Getenv("PATH"))...), "/usr/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	if os.Getenv("CI_REQUIRES_SERVICES") != "" {
		t.Fatalf("CI_REQUIRES_SERVICES is set and there is no %s", name)
	}
	t.Skipf("no %s", name)
	return ""
}

// serve runs a server in a group of its own until the test ends.
func serve(t *testing.T, cmd *exec.Cmd) *log {
	t.Helper()
	said := &log{}
	cmd.Stdout, cmd.Stderr = said, said
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	return said
}

func awaitPort(t *testing.T, port int, said *log) net.Conn {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v; it said\n%s", err, said)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func container(t *testing.T, kind, name string) []string {
	t.Helper()
	objects, _ := mustRender(t, existing())
	for _, w := range workloads(t, objects) {
		if w.kind == kind && w.name == name {
			return append(append([]string(nil), w.template.Spec.Containers[0].Command...), w.template.Spec.Containers[0].Args...)
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

// TestRedisTakesItsArguments runs the server as the pod does and asks it.
func TestRedisTakesItsArguments(t *testing.T) {
	path := program(t, "redis-server")
	args := container(t, "StatefulSet", "redis")
	for i, a := range args {
		if a == "/data" {
			args[i] = t.TempDir()
		}
	}
	port := porttest.Keep(t)
	said := serve(t, exec.Command(path, append(args[1:], "--port", fmt.Sprint(port), "--bind", "127.0.0.1")...))
	c := awaitPort(t, port, said)
	defer c.Close()
	for name, want := range map[string]string{"maxmemory": "33554432", "maxmemory-policy": "allkeys-lru", "appendonly": "yes", "protected-mode": "no", "save": "\r\n\r\n"} {
		fmt.Fprintf(c, "CONFIG GET %s\r\n", name)
		answer := make([]byte, 512)
		n, err := c.Read(answer)
		if err != nil || !strings.Contains(string(answer[:n]), want) {
			t.Errorf("%s is %q, want %s (%v)", name, answer[:n], want, err)
		}
	}
}

// broker is RabbitMQ on a volume of its own, with the files as they are
// rendered; only paths and ports are put in by hand.
type broker struct {
	t    *testing.T
	dir  string
	port int
	env  []string
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	dir, err := os.MkdirTemp("", "ssg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	names, port := porttest.Keep(t), porttest.Keep(t)
	b := &broker{t: t, dir: dir, port: port, env: append(os.Environ(),
		"HOME="+dir, "RABBITMQ_NODENAME=ssg-chart-test@localhost", "RABBITMQ_NODE_PORT=",
		"RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOG_BASE="+dir, "RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "enabled_plugins"),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", porttest.Keep(t)), fmt.Sprintf("ERL_EPMD_PORT=%d", names), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none",
	)}
	objects, _ := mustRender(t, existing())
	for _, w := range workloads(t, objects) {
		if w.name != "rabbitmq" {
			continue
		}
		conf := strings.NewReplacer(
			"= 5672", fmt.Sprintf("= %d", port), "= 15692", fmt.Sprintf("= %d", porttest.Keep(t)),
			"/run/secrets/rabbitmq/definitions.json", filepath.Join(dir, "definitions.json"),
		).Replace(w.template.Annotations["ssg/rabbitmq.conf"])
		b.write("rabbitmq.conf", conf)
		b.write("enabled_plugins", w.template.Annotations["ssg/enabled-plugins"])
	}
	// Erlang would start one that outlives the test.
	epmd := exec.Command(program(t, "epmd"), "-port", fmt.Sprint(names), "-address", "127.0.0.1")
	serve(t, epmd)
	return b
}

func (b *broker) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// secret is the Secret that the chart renders for a password.
func (b *broker) secret(password string) {
	b.t.Helper()
	objects, _ := mustRender(b.t, over(values{"rabbitmq": values{"auth": values{"password": password}}}, fromFile(b.t, "testdata/secrets.yaml")))
	data, _, err := nestedStrings(find(b.t, objects, "Secret", "ssg-studentsystemgo-rabbitmq").Object, "data")
	if err != nil {
		b.t.Fatal(err)
	}
	b.write("definitions.json", unbase64(b.t, data["definitions.json"]))
}

// boot runs the broker until the returned function is called.
func (b *broker) boot() (stop func()) {
	b.t.Helper()
	cmd := exec.Command(program(b.t, "rabbitmq-server", "/usr/lib/rabbitmq/bin"))
	cmd.Env, cmd.Dir = b.env, b.dir
	said := serve(b.t, cmd)
	awaitPort(b.t, b.port, said).Close()
	return func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}
}

func (b *broker) ctl(args ...string) (string, error) {
	cmd := exec.Command(program(b.t, "rabbitmqctl", "/usr/lib/rabbitmq/bin"), args...)
	cmd.Env, cmd.Dir = b.env, b.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestRabbitMQFollowsItsSecretAtEachBoot boots twice on one volume, with
// another password the second time.
func TestRabbitMQFollowsItsSecretAtEachBoot(t *testing.T) {
	program(t, "rabbitmq-server", "/usr/lib/rabbitmq/bin")
	b := newBroker(t)
	b.secret("first")
	stop := b.boot()
	if out, err := b.ctl("authenticate_user", "ssg", "first"); err != nil {
		t.Errorf("first boot: %s", out)
	}
	if out, err := b.ctl("list_users", "--quiet"); err != nil || strings.Contains(out, "guest") {
		t.Errorf("users: %s %v", out, err)
	}
	if out, err := b.ctl("list_permissions", "--quiet"); err != nil || !strings.Contains(out, "ssg\t.*\t.*\t.*") {
		t.Errorf("permissions: %s %v", out, err)
	}
	stop()
	b.secret("second")
	b.boot()
	if out, err := b.ctl("authenticate_user", "ssg", "second"); err != nil {
		t.Errorf("second boot: %s", out)
	}
	if _, err := b.ctl("authenticate_user", "ssg", "first"); err == nil {
		t.Error("the old password is still good")
	}
}
