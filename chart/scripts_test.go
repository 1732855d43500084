package chart

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// reachable puts an nc before all others that finds a host and port reachable
// once its file exists, and counts how often it was asked.
func reachable(t *testing.T, services ...string) (path, dir string) {
	t.Helper()
	dir = t.TempDir()
	const nc = `#!/bin/sh
# called as nc -z -w <seconds> <host> <port>
printf x >>"${0%/*}/asked"
[ "$#" = 5 ] && [ -e "${0%/*}/$4:$5" ]
`
	if err := os.WriteFile(filepath.Join(dir, "nc"), []byte(nc), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		if err := os.WriteFile(filepath.Join(dir, s), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Two seconds of waiting are no part of what is tested.
	if err := os.WriteFile(filepath.Join(dir, "sleep"), []byte("#!/bin/sh\n[ ! -e \"${0%/*}/later\" ] || mv \"${0%/*}/later\" \"${0%/*}/rabbitmq:5672\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH"), dir
}

func run(path string, argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), path)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// waitForBroker is the command of the worker's init container.
func waitForBroker(t *testing.T) []string {
	t.Helper()
	objects, _ := mustRender(t, over(values{"waits": values{"seconds": 20}}, existing()))
	for _, w := range workloads(t, objects) {
		if w.kind == "Deployment" && w.component() == "worker" {
			return w.template.Spec.InitContainers[0].Command
		}
	}
	t.Fatal("no worker")
	return nil
}

func TestAWaitEndsWhenTheServiceAnswers(t *testing.T) {
	path, dir := reachable(t)
	if err := os.WriteFile(filepath.Join(dir, "later"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run(path, waitForBroker(t)...); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAWaitIsBoundedAndSaysForWhat(t *testing.T) {
	path, dir := reachable(t)
	out, err := run(path, waitForBroker(t)...)
	if err == nil || !strings.Contains(out, "rabbitmq:5672 does not answer") {
		t.Errorf("%v: %s", err, out)
	}
	if asked, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || len(asked) != 10 {
		t.Errorf("asked %d times in 20 s of two each (%v)", len(asked), err)
	}
}

func liveness(t *testing.T) []string {
	t.Helper()
	objects, _ := mustRender(t, existing())
	for _, w := range workloads(t, objects) {
		if w.kind == "Deployment" && w.component() == "app" {
			return w.template.Spec.Containers[0].LivenessProbe.Exec.Command
		}
	}
	t.Fatal("no application")
	return nil
}

// alone runs a probe in a network of its own, in which nobody has a connection
// to a broker.
func alone(t *testing.T, path string) (string, error) {
	t.Helper()
	argv := append([]string{"unshare", "--net"}, liveness(t)...)
	if out, err := exec.Command("unshare", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %s", out)
	}
	return run(path, argv...)
}

func TestTheApplicationIsAliveWithoutABrokerThatIsAway(t *testing.T) {
	path, _ := reachable(t, "127.0.0.1:3000")
	if out, err := alone(t, path); err != nil {
		t.Errorf("killed for a broker that is away: %v: %s", err, out)
	}
}

func TestTheApplicationIsRestartedWhenItLostABrokerThatIsThere(t *testing.T) {
	path, _ := reachable(t, "127.0.0.1:3000", "rabbitmq:5672")
	if out, err := alone(t, path); err == nil || !strings.Contains(out, "the broker is there") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTheApplicationIsDeadWhenItsPortIs(t *testing.T) {
	path, _ := reachable(t)
	if out, err := run(path, liveness(t)...); err == nil {
		t.Errorf("alive: %s", out)
	}
}

func TestTheApplicationIsAliveWhileItIsConnected(t *testing.T) {
	listener, err := net.Listen("tcp", "127.77.0.1:5672")
	if err != nil {
		t.Skip(err)
	}
	defer listener.Close()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	path, _ := reachable(t, "127.0.0.1:3000", "rabbitmq:5672")
	if out, err := run(path, liveness(t)...); err != nil {
		t.Errorf("killed although it is connected: %v: %s", err, out)
	}
}
