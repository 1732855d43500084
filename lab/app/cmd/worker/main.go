// Command worker is the lab's stand-in for StudentSystemGo's worker. It promises
// to finish the letter in hand when it is told to stop, and to exit when the
// broker goes away, so that whoever runs it starts it again.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/queue"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/settings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, env func(string) string) error {
	set, err := settings.ForWorker(env)
	if err != nil {
		return err
	}
	letters, err := queue.Open(set.RabbitMQURL)
	if err != nil {
		return err
	}
	log.Printf("worker is waiting for %s, mailer %s", queue.PasswordReset, set.Mailer)
	err = letters.Receive(ctx, func(reset queue.Reset) error {
		log.Printf("mail to %s: a link to set a new password", reset.Email)
		return nil
	})
	if err != nil {
		return err
	}
	if err := letters.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	log.Print("worker has stopped")
	return nil
}
