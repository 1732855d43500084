package release

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
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

// fakeBroker speaks as much of AMQP as giving messages takes, and notes in log
// what it is asked to do.
type fakeBroker struct {
	conn net.Conn
	log  []string
	// queue is where the message goes whose body is about to come, tag its number.
	queue string
	tag   uint64
}

func newFakeBroker(t *testing.T) (*fakeBroker, Broker) {
	t.Helper()
	f := &fakeBroker{}
	served := make(chan struct{})
	t.Cleanup(func() { <-served })
	return f, Broker{
		Shell: func(_ context.Context, _, input string) error {
			f.log = append(f.log, "definitions "+input)
			return nil
		},
		Connect: func(context.Context) (*amqp.Connection, error) {
			var mine net.Conn
			mine, f.conn = net.Pipe()
			go func() {
				defer close(served)
				f.serve()
			}()
			return amqp.Open(mine, amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{Username: "u", Password: "p"}}, Vhost: "/"})
		},
	}
}

// serve answers frame after frame: kind, channel, length, payload, end.
func (f *fakeBroker) serve() {
	defer f.conn.Close()
	if _, err := io.CopyN(io.Discard, f.conn, int64(len("AMQP\x00\x00\x09\x01"))); err != nil {
		return
	}
	f.say(0, 10, 10, "\x00\x09\x00\x00\x00\x00\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US")
	for {
		var head [7]byte
		if _, err := io.ReadFull(f.conn, head[:]); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(f.conn, payload); err != nil {
			return
		}
		f.frame(head[0], binary.BigEndian.Uint16(head[1:]), payload[:len(payload)-1])
	}
}

// say sends a method with its arguments.
func (f *fakeBroker) say(channel, class, method uint16, args string) {
	out := append([]byte{1}, binary.BigEndian.AppendUint16(nil, channel)...)
	out = binary.BigEndian.AppendUint32(out, uint32(4+len(args)))
	out = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, class), method)
	_, _ = f.conn.Write(append(append(out, args...), 0xce))
}

func (f *fakeBroker) frame(kind byte, channel uint16, payload []byte) {
	const body = 3
	if kind == body {
		f.tag++
		f.log = append(f.log, fmt.Sprintf("publish %s %s", f.queue, payload))
		f.say(channel, 60, 80, string(binary.BigEndian.AppendUint64(nil, f.tag))+"\x00")
	}
	if kind != 1 {
		return
	}
	class, method := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	// What follows the reserved short of a method is a short string.
	text := func(at int) string { return string(payload[at+1 : at+1+int(payload[at])]) }
	switch [2]uint16{class, method} {
	case [2]uint16{10, 11}: // start-ok
		f.say(0, 10, 30, "\x00\x00\x00\x02\x00\x00\x00\x00")
	case [2]uint16{10, 40}: // open
		f.say(0, 10, 41, "\x00")
	case [2]uint16{10, 50}: // close
		f.say(0, 10, 51, "")
	case [2]uint16{20, 10}: // channel open
		f.say(channel, 20, 11, "\x00\x00\x00\x00")
	case [2]uint16{85, 10}: // confirm select
		f.say(channel, 85, 11, "")
	case [2]uint16{50, 30}: // queue purge
		f.log = append(f.log, "purge "+text(6))
		f.say(channel, 50, 31, "\x00\x00\x00\x00")
	case [2]uint16{60, 40}: // basic publish: behind the exchange, which is empty
		f.queue = text(7)
	}
}

// TestEveryQueueOfABackupIsEmptiedBeforeItGetsItsMessages: a message that came
// after the backup into a queue that was empty speaks of rows that are gone.
func TestEveryQueueOfABackupIsEmptiedBeforeItGetsItsMessages(t *testing.T) {
	const definitions = `{"queues":[
{"name":"mail","vhost":"/","durable":true,"type":"classic","arguments":{}},
{"name":"idle","vhost":"/","durable":true,"arguments":{"x-queue-type":"classic","x-max-priority":9}},
{"name":"old","vhost":"/","durable":true,"type":"rabbit_classic_queue"},
{"name":"kept","vhost":"/","durable":true,"type":"quorum","arguments":{"x-queue-type":"quorum"}},
{"name":"stream","vhost":"/","durable":true,"arguments":{"x-queue-type":"stream"}},
{"name":"fleeting","vhost":"/","durable":false,"type":"classic"},
{"name":"theirs","vhost":"other","durable":true,"type":"classic"}]}`
	line, err := encodeMessage("mail", amqp.Delivery{DeliveryMode: amqp.Persistent, Body: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	f, b := newFakeBroker(t)
	pieces := [][]byte{[]byte(definitions), line}
	held, err := b.Give(t.Context(), func() ([]byte, error) {
		if len(pieces) == 0 {
			return nil, nil
		}
		p := pieces[0]
		pieces = pieces[1:]
		return p, nil
	})
	if err != nil || !slices.Equal(held, []Holding{{"mail", 1}}) {
		t.Fatalf("%+v, %v", held, err)
	}
	want := []string{"definitions " + definitions, "purge mail", "purge idle", "purge old", "purge mail", "publish mail hello"}
	if !slices.Equal(f.log, want) {
		t.Errorf("the broker was told\n%q\nwant\n%q", f.log, want)
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
