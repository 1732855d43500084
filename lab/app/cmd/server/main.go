// Command server is the lab's stand-in for StudentSystemGo's server. It promises
// the real one's contract with a deployment: what it reads, in which order it
// starts, that it tries each part once, and that a SIGTERM ends it in the middle
// of whatever it does.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/auth"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/database"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/limit"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/photo"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/queue"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/settings"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/web"
)

// address is not a setting, as in the real application.
const address = ":3000"

func main() {
	if err := run(context.Background(), os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, env func(string) string) error {
	log.Printf("StudentSystemGo stand-in %s", commit)
	set, err := settings.ForServer(env)
	if err != nil {
		return err
	}
	site, err := start(ctx, set)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	log.Printf("server is running on %s", address)
	server := &http.Server{Handler: site.Handler()}
	if set.TLS {
		return server.ServeTLS(listener, set.CertFile, set.KeyFile)
	}
	return server.Serve(listener)
}

// start connects to one part after the other.
func start(ctx context.Context, set settings.Server) (*web.Site, error) {
	school, err := database.Open(ctx, set.Primary, set.Replica)
	if err != nil {
		return nil, err
	}
	redis, err := limit.Open(ctx, set.RedisURL)
	if err != nil {
		return nil, err
	}
	mail, err := queue.Open(set.RabbitMQURL)
	if err != nil {
		return nil, err
	}
	if err := photo.Check(set.Photos); err != nil {
		return nil, fmt.Errorf("set up photos: %w", err)
	}
	return &web.Site{
		School: school, Mail: mail, Redis: redis,
		Tokens: auth.Tokens{Secret: set.JWTSecret, Lifetime: set.JWTLifetime}, ResetLifetime: set.ResetLifetime,
	}, nil
}
