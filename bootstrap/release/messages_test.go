package release

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestAMessageComesBackWithTheTypesOfItsHeaders(t *testing.T) {
	at := time.Date(2026, 9, 1, 2, 3, 4, 0, time.UTC)
	in := amqp.Delivery{
		ContentType: "application/json", Priority: 3, CorrelationId: "c", ReplyTo: "r", Expiration: "60000", MessageId: "m",
		Timestamp: at, Type: "t", AppId: "a", UserId: "ssg", DeliveryMode: amqp.Persistent, Body: []byte("\x00\xff body"),
		Headers: amqp.Table{
			"n": nil, "b": true, "u8": uint8(1), "i16": int16(-2), "i32": int32(3), "i64": int64(1) << 60, "f": 1.5, "s": "x",
			"raw": []byte{0, 1}, "at": at, "d": amqp.Decimal{Scale: 2, Value: 314},
			"x-death": []any{amqp.Table{"count": int64(2), "queue": "email.failed", "routing-keys": []any{"a"}}},
		},
	}
	line, err := encodeMessage("email.password_reset", in)
	if err != nil || bytes.Count(line, []byte("\n")) != 1 {
		t.Fatalf("%v: %q", err, line)
	}
	queue, out, err := decodeMessage(line)
	if err != nil || queue != "email.password_reset" {
		t.Fatalf("%q, %v", queue, err)
	}
	want := amqp.Publishing{
		ContentType: "application/json", Priority: 3, CorrelationId: "c", ReplyTo: "r", Expiration: "60000", MessageId: "m",
		Timestamp: at, Type: "t", AppId: "a", DeliveryMode: amqp.Persistent, Body: in.Body, Headers: in.Headers,
	}
	if !reflect.DeepEqual(out, want) {
		t.Errorf("got\n%#v\nwant\n%#v", out, want)
	}
	if err := out.Headers.Validate(); err != nil {
		t.Error(err)
	}
}

func TestDefinitionsAreKeptWithoutUsers(t *testing.T) {
	out, err := withoutUsers([]byte(`{"users":[{"name":"ssg","password_hash":"canary"}],"permissions":[{"user":"ssg"}],"queues":[{"name":"q"}]}`))
	if err != nil || strings.Contains(string(out), "canary") || string(out) != `{"queues":[{"name":"q"}]}` {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := withoutUsers([]byte("Error: canary")); err == nil || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
}

func FuzzMessage(f *testing.F) {
	line, err := encodeMessage("q", amqp.Delivery{Body: []byte("x"), Headers: amqp.Table{"a": int32(1)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Fuzz(func(t *testing.T, line []byte) {
		queue, m, err := decodeMessage(line)
		if err == nil && queue == "" {
			t.Errorf("%q has no queue: %+v", line, m)
		}
	})
}

// TestDefinitionsGoByWayOfAFile: the rabbitmqctl of RabbitMQ 4.0 never comes to
// an end when it is to read them from its input.
func TestDefinitionsGoByWayOfAFile(t *testing.T) {
	dir := t.TempDir()
	fake := `#!/bin/sh
[ "$1 $2" = "--quiet import_definitions" ] && [ -n "$3" ] || exit 9
cat "$3" >"$DIR/got"
printf %s "$3" >"$DIR/path"
exit "${STATUS:-0}"
`
	if err := os.WriteFile(filepath.Join(dir, "rabbitmqctl"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	for status, fails := range map[string]bool{"0": false, "65": true} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", importScript)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "DIR="+dir, "STATUS="+status)
		cmd.Stdin = strings.NewReader(`{"queues":[]}`)
		if err := cmd.Run(); (err != nil) != fails {
			t.Errorf("status %s: %v", status, err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "got"))
		if err != nil || string(got) != `{"queues":[]}` {
			t.Errorf("rabbitmqctl got %q, %v", got, err)
		}
		path, err := os.ReadFile(filepath.Join(dir, "path"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(string(path)); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}
