package servicetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// StartRedis starts Redis and returns its URL.
func StartRedis(t *testing.T) (url string, p *Process) {
	t.Helper()
	server := Find(t, "redis-server", "/usr/bin/redis-server")
	at := "127.0.0.1:" + FreePort(t)
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	p = start(t, t.TempDir(), nil, server, "--bind", "127.0.0.1", "--port", port, "--save", "", "--daemonize", "no")
	p.await(t, func() error {
		connection, err := net.Dial("tcp", at)
		if err != nil {
			return err
		}
		return connection.Close()
	})
	return "redis://" + at, p
}

// StartRabbitMQ starts RabbitMQ and returns its URL.
func StartRabbitMQ(t *testing.T) (url string, p *Process) {
	t.Helper()
	server := Find(t, "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
	dir, port, names := t.TempDir(), FreePort(t), FreePort(t)
	plugins := filepath.Join(dir, "plugins")
	if err := os.WriteFile(plugins, []byte("[].\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, dir, []string{
		"HOME=" + dir, "ERL_EPMD_PORT=" + names, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=test" + port + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + port, "RABBITMQ_DIST_PORT=" + FreePort(t),
		"RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOGS=-", "RABBITMQ_ENABLED_PLUGINS_FILE=" + plugins, "RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "none"),
	}, server)
	t.Cleanup(func() {
		// Erlang's name server puts itself into the background.
		stop := exec.Command("epmd", "-port", names, "-kill")
		stop.Env = append(os.Environ(), "ERL_EPMD_RELAXED_COMMAND_CHECK=1")
		if out, err := stop.CombinedOutput(); err != nil {
			t.Logf("stop epmd: %v: %s", err, out)
		}
	})
	url = fmt.Sprintf("amqp://guest:guest@127.0.0.1:%s/", port)
	p.await(t, func() error {
		connection, err := amqp.Dial(url)
		if err != nil {
			return err
		}
		return connection.Close()
	})
	return url, p
}
