package main

import (
	"context"
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/queue"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/servicetest"
)

func within(t *testing.T, what string, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatalf("waited for %s", what)
		return nil
	}
}

func environment(url, mailer string) func(string) string {
	return func(name string) string {
		return map[string]string{"RABBITMQ_URL": url, "MAILER_TYPE": mailer}[name]
	}
}

func TestUnknownMailerEndsIt(t *testing.T) {
	if err := run(t.Context(), environment("amqp://127.0.0.1:1/", "smtp")); err == nil || err.Error() != `unknown MAILER_TYPE "smtp"` {
		t.Errorf("run = %v", err)
	}
}

func TestWorker(t *testing.T) {
	url, broker := servicetest.StartRabbitMQ(t)
	sender, err := queue.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	publishNonsense(t, url)
	if err := sender.Send(t.Context(), queue.Reset{Email: "e@example.org"}); err != nil {
		t.Fatal(err)
	}
	t.Run("finishes the letter in hand when it is told to stop", func(t *testing.T) { stopsAfterTheLetter(t, url) })
	t.Run("puts what it cannot work on among the failed", func(t *testing.T) {
		if got := count(t, url, queue.PasswordResetFailed); got != 1 {
			t.Errorf("%d letters failed, want the one that is no letter", got)
		}
		if got := count(t, url, queue.PasswordReset); got != 0 {
			t.Errorf("%d letters are left", got)
		}
	})
	t.Run("ends when the broker goes", func(t *testing.T) {
		letters, err := queue.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- letters.Receive(t.Context(), func(queue.Reset) error { return nil }) }()
		broker.Kill()
		if err := within(t, "the worker's end", ended); err == nil {
			t.Error("it ended as if it had been told to")
		}
	})
}

func stopsAfterTheLetter(t *testing.T, url string) {
	letters, err := queue.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	inHand, finish, ended := make(chan string), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- letters.Receive(ctx, func(reset queue.Reset) error {
			inHand <- reset.Email
			<-finish
			return nil
		})
	}()
	if got := <-inHand; got != "e@example.org" {
		t.Errorf("in hand is the letter to %q", got)
	}
	stop()
	close(finish)
	if err := within(t, "the worker's end", ended); err != nil {
		t.Errorf("told to stop: %v", err)
	}
	if err := letters.Close(); err != nil && !errors.Is(err, amqp.ErrClosed) {
		t.Error(err)
	}
}

func channel(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	connection, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	opened, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func publishNonsense(t *testing.T, url string) {
	t.Helper()
	if err := channel(t, url).PublishWithContext(t.Context(), "", queue.PasswordReset, true, false, amqp.Publishing{Body: []byte("no letter")}); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, url, name string) int {
	t.Helper()
	declared, err := channel(t, url).QueueDeclarePassive(name, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return declared.Messages
}
