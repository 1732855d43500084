// Package settings reads what the application is told. It promises the names
// that the real application reads, with no defaults where that one has none.
package settings

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// Server is what the server is told.
type Server struct {
	Primary, Replica Database
	RedisURL         string
	RabbitMQURL      string
	JWTSecret        string // empty is noticed by whoever signs or checks with it
	JWTLifetime      time.Duration
	ResetLifetime    time.Duration
	Photos           Photos
	TLS              bool
	CertFile         string
	KeyFile          string
}

// Database is one server of the database.
type Database struct{ Host, Port, User, Password, Name string }

// Address of the server, to connect to.
func (d Database) Address() string { return net.JoinHostPort(d.Host, d.Port) }

// Photos says where pictures are kept and how links to them are signed.
type Photos struct{ Bucket, Region, Domain, KeyPairID, KeyPath string }

// Worker is what the worker is told.
type Worker struct {
	RabbitMQURL string
	Mailer      string
}

// ForServer reads the server's settings from the environment.
func ForServer(env func(string) string) (Server, error) {
	lifetime, err := duration(env, "JWT_EXPIRES_IN", time.Hour)
	if err != nil {
		return Server{}, err
	}
	minutes, err := strconv.Atoi(or(env("RESET_TOKEN_EXP_DURATION"), "10"))
	if err != nil {
		return Server{}, fmt.Errorf("read RESET_TOKEN_EXP_DURATION: %w", err)
	}
	at := func(host string) Database {
		return Database{Host: env(host), Port: or(env("DB_PORT"), "3306"), User: env("DB_USER"), Password: env("DB_PASSWORD"), Name: env("DB_NAME")}
	}
	return Server{
		Primary: at("DB_PRIMARY_HOST"), Replica: at("DB_REPLICA_HOST"),
		RedisURL: env("REDIS_URL"), RabbitMQURL: env("RABBITMQ_URL"),
		JWTSecret: env("JWT_SECRET"), JWTLifetime: lifetime, ResetLifetime: time.Duration(minutes) * time.Minute,
		Photos: Photos{
			Bucket: env("S3_BUCKET"), Region: env("S3_REGION"),
			Domain: env("CF_DOMAIN"), KeyPairID: env("CF_KEY_PAIR_ID"), KeyPath: env("CF_PRIVATE_KEY_PATH"),
		},
		TLS: env("USE_TLS") == "true", CertFile: env("CERT_FILE"), KeyFile: env("KEY_FILE"),
	}, nil
}

// ForWorker reads the worker's settings from the environment. There is one
// mailer, which only says what it would send.
func ForWorker(env func(string) string) (Worker, error) {
	mailer := env("MAILER_TYPE")
	if mailer != "" && mailer != "mock" {
		return Worker{}, fmt.Errorf("unknown MAILER_TYPE %q", mailer)
	}
	return Worker{RabbitMQURL: env("RABBITMQ_URL"), Mailer: "mock"}, nil
}

func duration(env func(string) string, name string, none time.Duration) (time.Duration, error) {
	if env(name) == "" {
		return none, nil
	}
	d, err := time.ParseDuration(env(name))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return d, nil
}

func or(value, none string) string {
	if value == "" {
		return none
	}
	return value
}
