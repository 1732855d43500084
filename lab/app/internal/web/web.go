// Package web answers the application's requests. It promises the real
// application's addresses and statuses as far as a deployment meets them, its
// faults included: the health check is counted by the rate limiter, and what
// nobody asked to be compressed ends in the bytes of an empty archive.
package web

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/auth"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/database"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/limit"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/queue"
)

// School keeps rows.
type School interface {
	AddStudent(context.Context, database.Student) (database.Student, error)
	Student(ctx context.Context, id int) (database.Student, error)
	Students(context.Context) ([]database.Student, error)
	AddExec(context.Context, database.Exec) (database.Exec, error)
	ExecNamed(ctx context.Context, username string) (database.Exec, error)
	ExecAt(ctx context.Context, email string) (database.Exec, error)
	AllowReset(ctx context.Context, execID int, tokenHash string, until time.Time) error
}

// Mail takes letters for the worker.
type Mail interface {
	Send(context.Context, queue.Reset) error
}

// Site is what the handlers share.
type Site struct {
	School        School
	Mail          Mail
	Redis         *redis.Client
	Tokens        auth.Tokens
	ResetLifetime time.Duration
}

// Handler routes requests.
func (s *Site) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true}))
	mux.HandleFunc("POST /execs/login", s.login)
	mux.HandleFunc("POST /execs/forgotpassword", s.forgotPassword)
	mux.Handle("POST /execs", s.loggedIn(s.addExec))
	mux.Handle("GET /students", s.loggedIn(s.listStudents))
	mux.Handle("POST /students", s.loggedIn(s.addStudent))
	mux.Handle("GET /students/{id}", s.loggedIn(s.getStudent))
	counted := newMetrics(registry).wrap(mux)
	return limit.New(s.Redis).Wrap(crossOrigin(compress(counted)))
}
