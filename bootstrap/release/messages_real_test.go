//go:build lab

package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/porttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(porttest.Keep(t))
}

// startRabbitMQ starts a server of this computer's own package, and returns its
// address too.
func startRabbitMQ(t *testing.T) (Broker, string) {
	t.Helper()
	server, err := exec.LookPath("/usr/lib/rabbitmq/bin/rabbitmq-server")
	if err != nil {
		t.Skip("no rabbitmq-server on this computer")
	}
	dir, port, names := t.TempDir(), freePort(t), freePort(t)
	if err := os.WriteFile(filepath.Join(dir, "plugins"), []byte("[].\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "HOME="+dir, "ERL_EPMD_PORT="+names, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=test"+port+"@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT="+port, "RABBITMQ_DIST_PORT="+freePort(t),
		"RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOGS=-", "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"), "RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "none"))
	cmd := exec.Command(server)
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := Broker{
		Control: func(ctx context.Context, args ...string) (string, error) {
			c := exec.CommandContext(ctx, "/usr/lib/rabbitmq/bin/rabbitmqctl", append([]string{"--quiet"}, args...)...)
			c.Env = env
			var stderr bytes.Buffer
			c.Stderr = &stderr
			out, err := c.Output()
			if err != nil {
				err = fmt.Errorf("rabbitmqctl %v: %w: %s", args, err, stderr.String())
			}
			return string(out), err
		},
		Shell: func(ctx context.Context, script, input string) error {
			c := exec.CommandContext(ctx, "sh", "-c", script)
			c.Env = append(env, "PATH=/usr/lib/rabbitmq/bin:"+os.Getenv("PATH"))
			c.Stdin = strings.NewReader(input)
			out, err := c.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		},
		Connect: func(context.Context) (*amqp.Connection, error) {
			return amqp.Dial("amqp://guest:guest@127.0.0.1:" + port + "/")
		},
	}
	t.Cleanup(func() {
		_, _ = b.Control(context.Background(), "stop")
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		stop := exec.Command("epmd", "-port", names, "-kill")
		stop.Env = append(os.Environ(), "ERL_EPMD_RELAXED_COMMAND_CHECK=1")
		_ = stop.Run()
	})
	for end := time.Now().Add(3 * time.Minute); ; {
		if c, err := b.Connect(t.Context()); err == nil {
			_ = c.Close()
			return b, "127.0.0.1:" + port
		}
		if time.Now().After(end) {
			t.Fatal("RabbitMQ does not start")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// TestRealRabbitMQKeepsItsMessagesAndGetsThemBack takes messages of a server
// that goes on serving, loses them, and gives them back.
func TestRealRabbitMQKeepsItsMessagesAndGetsThemBack(t *testing.T) {
	b, _ := startRabbitMQ(t)
	ctx := t.Context()
	conn, err := b.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for name, durable := range map[string]bool{"mail": true, "idle": true, "fleeting": false} {
		if _, err := ch.QueueDeclare(name, durable, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.ExchangeDeclare("news", "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind("mail", "a.#", "news", false, nil); err != nil {
		t.Fatal(err)
	}
	const sent = 300
	for n := range sent {
		mode := uint8(amqp.Persistent)
		if n%100 == 99 {
			mode = amqp.Transient
		}
		err := ch.PublishWithContext(ctx, "", "mail", true, false, amqp.Publishing{DeliveryMode: mode, Body: fmt.Appendf(nil, "message %03d", n), Headers: amqp.Table{"n": int32(n)}})
		if err == nil {
			err = ch.PublishWithContext(ctx, "", "fleeting", true, false, amqp.Publishing{Body: []byte("x")})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ready := func(want int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			q, err := ch.QueueInspect("mail")
			if err != nil {
				t.Fatal(err)
			}
			if q.Messages == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d messages, want %d", q.Messages, want)
			}
		}
	}
	ready(sent)
	var pieces [][]byte
	held, err := b.Take(ctx, func(p []byte) error { pieces = append(pieces, bytes.Clone(p)); return nil }, func(text string) { t.Error(text) })
	if err != nil || len(held) != 1 || held[0] != (Holding{"mail", sent - 3}) {
		t.Fatalf("%+v, %v", held, err)
	}
	// They are all still there, in their order.
	ready(sent)
	if m, ok, err := ch.Get("mail", false); err != nil || !ok || string(m.Body) != "message 000" {
		t.Fatalf("the first is %q, %v", m.Body, err)
	} else if err := m.Nack(false, true); err != nil {
		t.Fatal(err)
	}

	// One that comes later into a queue that was empty.
	if err := ch.PublishWithContext(ctx, "", "idle", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("newer")}); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDelete("mail", false, false, false); err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDelete("news", false, false); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a restore that is begun again does not double them
		rest := pieces
		back, err := b.Give(ctx, func() ([]byte, error) {
			if len(rest) == 0 {
				return nil, nil
			}
			p := rest[0]
			rest = rest[1:]
			return p, nil
		})
		if err != nil || len(back) != 1 || back[0] != held[0] {
			t.Fatalf("%+v, %v", back, err)
		}
	}
	ready(sent - 3)
	if m, ok, err := ch.Get("idle", true); err != nil || ok {
		t.Errorf("a queue that was empty holds %q, %v", m.Body, err)
	}
	for n := range sent {
		if n%100 == 99 {
			continue
		}
		m, ok, err := ch.Get("mail", true)
		if err != nil || !ok || string(m.Body) != fmt.Sprintf("message %03d", n) || m.Headers["n"] != int32(n) || m.DeliveryMode != amqp.Persistent {
			t.Fatalf("message %d came back as %q %v, %v", n, m.Body, m.Headers, err)
		}
	}
	if err := ch.PublishWithContext(ctx, "news", "a.b", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("bound")}); err != nil {
		t.Fatal(err)
	}
	ready(1)
}

// TestRealRabbitMQTakesAUserByItsHash makes one, gives it another password and
// deletes it.
func TestRealRabbitMQTakesAUserByItsHash(t *testing.T) {
	b, address := startRabbitMQ(t)
	ctx := t.Context()
	lets := func(password string) error {
		conn, err := amqp.Dial("amqp://ssg-2:" + password + "@" + address + "/")
		if err != nil {
			return err
		}
		return conn.Close()
	}
	refused := func(err error) bool {
		var said *amqp.Error
		return errors.As(err, &said) && said.Code == amqp.AccessRefused
	}
	for _, password := range []string{"one", "two"} {
		definitions, err := brokerUser(secrets.NewValue("ssg-2"), secrets.NewValue(password))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Shell(ctx, importScript, definitions); err != nil {
			t.Fatal(err)
		}
		if err := lets(password); err != nil {
			t.Errorf("%s: %v", password, err)
		}
	}
	if err := lets("one"); !refused(err) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := b.Control(ctx, "delete_user", "ssg-2"); err != nil {
		t.Fatal(err)
	}
	if err := lets("two"); !refused(err) {
		t.Errorf("a user that is gone: %v", err)
	}
	var ended *exec.ExitError
	if _, err := b.Control(ctx, "delete_user", "ssg-2"); err != nil && (!errors.As(err, &ended) || ended.ExitCode() != noUser) {
		t.Errorf("deleting it twice: %v", err) // 4.0 finds nothing wrong with it
	}
}
