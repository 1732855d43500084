// Package queue carries letters from the server to the worker. It promises
// durable queues, and no second connection: when the broker goes away, what was
// opened here stays broken, as in the real application.
package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Queues that both sides declare, whoever comes first. A letter that cannot be
// worked on ends in the second one.
const (
	PasswordReset       = "email.password_reset"
	PasswordResetFailed = PasswordReset + ".failed"
)

// Reset asks for a letter with a link that sets a new password.
type Reset struct {
	Email string `json:"email"`
	Name  string `json:"name"`
	Token string `json:"token"`
}

// Queue is a connection to the broker.
type Queue struct {
	connection *amqp.Connection
	channel    *amqp.Channel
}

// Open connects once and declares the queues.
func Open(url string) (*Queue, error) {
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	channel, err := connection.Channel()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open channel: %w", err), connection.Close())
	}
	if err := declare(channel); err != nil {
		return nil, errors.Join(fmt.Errorf("declare queues: %w", err), connection.Close())
	}
	return &Queue{connection, channel}, nil
}

func declare(channel *amqp.Channel) error {
	const durable = true
	if _, err := channel.QueueDeclare(PasswordResetFailed, durable, false, false, false, nil); err != nil {
		return err
	}
	_, err := channel.QueueDeclare(PasswordReset, durable, false, false, false, amqp.Table{
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": PasswordResetFailed,
	})
	return err
}

// Send publishes a letter that survives the broker's restart.
func (q *Queue) Send(ctx context.Context, reset Reset) error {
	body, err := json.Marshal(reset)
	if err != nil {
		return fmt.Errorf("publish reset: %w", err)
	}
	err = q.channel.PublishWithContext(ctx, "", PasswordReset, true, false, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: body,
	})
	if err != nil {
		return fmt.Errorf("publish reset: %w", err)
	}
	return nil
}

// ErrLost means that the broker went away.
var ErrLost = errors.New("the connection to RabbitMQ is lost")

const consumer = "worker"

// Receive hands letters to work, one at a time, until the context ends; the
// letter in hand is worked on to its end. A letter that is no letter, or that
// work refuses, goes to the failed ones.
func (q *Queue) Receive(ctx context.Context, work func(Reset) error) error {
	if err := q.channel.Qos(1, 0, false); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	letters, err := q.channel.Consume(PasswordReset, consumer, false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	// The broker then sends no more; what it has sent still comes out of letters.
	defer context.AfterFunc(ctx, func() { _ = q.channel.Cancel(consumer, false) })()
	for letter := range letters {
		if err := settle(letter, work); err != nil {
			return fmt.Errorf("settle letter: %w", err)
		}
	}
	if ctx.Err() == nil {
		return ErrLost
	}
	return nil
}

func settle(letter amqp.Delivery, work func(Reset) error) error {
	var reset Reset
	if json.Unmarshal(letter.Body, &reset) != nil || reset.Email == "" || work(reset) != nil {
		return letter.Nack(false, false)
	}
	return letter.Ack(false)
}

// Close ends the connection.
func (q *Queue) Close() error { return q.connection.Close() }
