package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Broker is the release's RabbitMQ, as backups see it. Messages are taken by
// getting them and giving them back: the broker puts them where they were when
// the channel closes, and goes on serving meanwhile. Copying its files would
// need it stopped.
type Broker struct {
	// Control runs rabbitmqctl, Shell a script where that is; Connect logs in.
	Control func(ctx context.Context, args ...string) (string, error)
	Shell   func(ctx context.Context, script, input string) error
	Connect func(ctx context.Context) (*amqp.Connection, error)
}

// importScript goes by way of a file: the rabbitmqctl of 4.0 waits for ever for
// definitions on its input (rabbitmq-server, issue 13157), and the "-" of its
// help is not taken by others. There is no password in them, at most a hash.
const importScript = `f=$(mktemp /tmp/definitions.XXXXXXXX) || exit
cat >"$f" && rabbitmqctl --quiet import_definitions "$f" </dev/null
status=$?
rm -f "$f"
exit $status`

// NewBroker returns the broker of a release on a cluster.
func NewBroker(c *cluster.Cluster, w Want, login secrets.Set) Broker {
	live := Live{Deployer: Deployer{Cluster: c, Want: w}}
	run := func(ctx context.Context, input string, argv ...string) (string, error) {
		pod, err := live.pod(ctx, "rabbitmq")
		if err != nil {
			return "", err
		}
		return c.Exec(ctx, cluster.Program{Pod: pod, Container: "rabbitmq", Argv: argv, Stdin: input})
	}
	return Broker{
		Control: func(ctx context.Context, args ...string) (string, error) {
			return run(ctx, "", append([]string{"rabbitmqctl", "--quiet"}, args...)...)
		},
		Shell: func(ctx context.Context, script, input string) error {
			_, err := run(ctx, input, "sh", "-c", script)
			return err
		},
		Connect: func(ctx context.Context) (*amqp.Connection, error) {
			pod, err := live.pod(ctx, "rabbitmq")
			if err != nil {
				return nil, err
			}
			return openBroker(ctx, c, pod, login[secrets.RabbitMQUser], login[secrets.RabbitMQPassword])
		},
	}
}

// Holding is one queue and how many messages were taken from it.
type Holding struct {
	Queue    string
	Messages int
}

// quorum queues count how often a message was given back, and drop it in the
// end: they are left alone.
type queueInfo struct {
	Name     string `json:"name"`
	Durable  bool   `json:"durable"`
	Type     string `json:"type"`
	Messages int    `json:"messages_ready"`
}

// someBytes is how much goes into one piece.
const someBytes = 1 << 20

// Take hands over the definitions and then the messages that would survive a
// restart of the broker, in pieces. skip is told of queues that are left out.
func (b Broker) Take(ctx context.Context, put func(piece []byte) error, skip func(text string)) ([]Holding, error) {
	definitions, err := b.Control(ctx, "export_definitions", "-")
	if err != nil {
		return nil, fmt.Errorf("read the broker's definitions: %w", err)
	}
	text, err := withoutUsers([]byte(definitions))
	if err != nil {
		return nil, err
	}
	if err := put(text); err != nil {
		return nil, err
	}
	out, err := b.Control(ctx, "list_queues", "--formatter", "json", "name", "durable", "type", "messages_ready")
	if err != nil {
		return nil, fmt.Errorf("list the broker's queues: %w", err)
	}
	var queues []queueInfo
	if err := json.Unmarshal([]byte(out), &queues); err != nil {
		return nil, fmt.Errorf("read the list of the broker's queues: %w", err)
	}
	conn, err := b.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var held []Holding
	for _, q := range queues {
		if !q.Durable || q.Messages == 0 {
			continue
		}
		if !classic(q.Type) {
			skip(fmt.Sprintf("the %d messages of %s are not backed up: reading a %s queue uses its messages up", q.Messages, q.Name, q.Type))
			continue
		}
		n, err := takeQueue(conn, q, put)
		if err != nil {
			return held, fmt.Errorf("read the messages of %s: %w", q.Name, err)
		}
		held = append(held, Holding{q.Name, n})
	}
	return held, nil
}

// classic reports whether a queue's type, as any of the versions writes it, is the
// one whose messages can be taken and given.
func classic(kind string) bool {
	return strings.HasSuffix(kind, "classic") || strings.HasSuffix(kind, "classic_queue")
}

// withoutUsers takes the users out: theirs are the Secrets' to say, and a
// password that was rotated away must not come back.
func withoutUsers(definitions []byte) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(definitions, &all); err != nil {
		// Its text may quote a user's hash.
		return nil, errors.New("the broker's definitions are no JSON")
	}
	for _, key := range []string{"users", "permissions", "topic_permissions"} {
		delete(all, key)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("write the broker's definitions: %w", err)
	}
	return text, nil
}

func takeQueue(conn *amqp.Connection, q queueInfo, put func([]byte) error) (int, error) {
	ch, err := conn.Channel()
	if err != nil {
		return 0, err
	}
	// What was not acknowledged goes back to its place when the channel closes.
	defer ch.Close()
	var piece bytes.Buffer
	taken := 0
	for range q.Messages {
		m, ok, err := ch.Get(q.Name, false)
		if err != nil {
			return taken, err
		}
		if !ok {
			break
		}
		if m.DeliveryMode != amqp.Persistent {
			continue
		}
		line, err := encodeMessage(q.Name, m)
		if err != nil {
			return taken, err
		}
		piece.Write(line)
		taken++
		if piece.Len() >= someBytes {
			if err := put(bytes.Clone(piece.Bytes())); err != nil {
				return taken, err
			}
			piece.Reset()
		}
	}
	if piece.Len() == 0 {
		return taken, nil
	}
	return taken, put(piece.Bytes())
}

// Give makes the queues of a backup hold what they held: the definitions first,
// then every queue is emptied, also one that held nothing, and gets its messages:
// one that is newer than the databases beside it speaks of rows that are not
// there. Quorum queues and streams are left as they are, for their messages are
// in no backup. Whoever writes or reads must be stopped. next returns the pieces
// in their order and nil at the end.
func (b Broker) Give(ctx context.Context, next func() ([]byte, error)) ([]Holding, error) {
	definitions, err := next()
	if err != nil {
		return nil, err
	}
	if err := b.Shell(ctx, importScript, string(definitions)); err != nil {
		return nil, fmt.Errorf("give the broker its definitions: %w", err)
	}
	conn, err := b.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("ask for confirmations: %w", err)
	}
	if err := emptyAll(ch, definitions, conn.Config.Vhost); err != nil {
		return nil, err
	}
	var held []Holding
	for {
		piece, err := next()
		if err != nil || piece == nil {
			return held, err
		}
		if held, err = giveAll(ctx, ch, piece, held); err != nil {
			return held, err
		}
	}
}

// emptyAll takes out of the queues of a backup what came into them since.
func emptyAll(ch *amqp.Channel, definitions []byte, vhost string) error {
	queues, err := emptiable(definitions, vhost)
	if err != nil {
		return err
	}
	for _, queue := range queues {
		if _, err := ch.QueuePurge(queue, false); err != nil {
			return fmt.Errorf("empty %s: %w", queue, err)
		}
	}
	return nil
}

// emptiable are the queues of a virtual host of which a backup holds all messages.
func emptiable(definitions []byte, vhost string) ([]string, error) {
	var all struct {
		Queues []struct {
			Name    string `json:"name"`
			Vhost   string `json:"vhost"`
			Durable bool   `json:"durable"`
			Type    string `json:"type"`
			// One argument may be of any type.
			Arguments map[string]any `json:"arguments"`
		} `json:"queues"`
	}
	if err := json.Unmarshal(definitions, &all); err != nil {
		return nil, fmt.Errorf("read the broker's definitions: %w", err)
	}
	var out []string
	for _, q := range all.Queues {
		kind, _ := q.Arguments["x-queue-type"].(string)
		other := q.Type != "" && !classic(q.Type) || kind != "" && !classic(kind)
		if q.Durable && !other && (q.Vhost == "" || q.Vhost == vhost) {
			out = append(out, q.Name)
		}
	}
	return out, nil
}

func giveAll(ctx context.Context, ch *amqp.Channel, piece []byte, held []Holding) ([]Holding, error) {
	for line := range bytes.Lines(piece) {
		queue, m, err := decodeMessage(line)
		if err != nil {
			return held, err
		}
		if n := len(held); n == 0 || held[n-1].Queue != queue {
			if _, err := ch.QueuePurge(queue, false); err != nil {
				return held, fmt.Errorf("empty %s: %w", queue, err)
			}
			held = append(held, Holding{Queue: queue})
		}
		sure, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, m)
		if err != nil {
			return held, fmt.Errorf("give %s a message: %w", queue, err)
		}
		// One after the other keeps their order, also where the link breaks.
		if ok, err := sure.WaitContext(ctx); err != nil || !ok {
			return held, fmt.Errorf("give %s a message: the broker does not confirm it: %w", queue, errors.Join(err))
		}
		held[len(held)-1].Messages++
	}
	return held, nil
}
