package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/auth"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/queue"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/servicetest"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/settings"
)

// stage is everything that the server needs, started once for all cases: two
// databases that do not replicate, so that it shows which one was asked.
type stage struct {
	primary, replica *servicetest.MariaDB
	redis, broker    *servicetest.Process
	set              settings.Server
	url              string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s, port := &stage{}, servicetest.FreePort(t)
	s.primary = servicetest.StartMariaDB(t, "127.0.0.1", port, true)
	s.replica = servicetest.StartMariaDB(t, "127.0.0.2", port, true)
	s.set = settings.Server{
		Primary: s.primary.At, Replica: s.replica.At,
		JWTSecret: "secret", JWTLifetime: time.Hour, ResetLifetime: 10 * time.Minute,
		Photos: settings.Photos{Bucket: "b", Region: "r", Domain: "d", KeyPairID: "k", KeyPath: photoKey(t)},
	}
	s.set.RedisURL, s.redis = servicetest.StartRedis(t)
	s.set.RabbitMQURL, s.broker = servicetest.StartRabbitMQ(t)
	return s
}

func photoKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return servicetest.WritePEM(t, t.TempDir(), "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

// reply is what a request came back with.
type reply struct {
	status int
	body   string
	header http.Header
}

// ask sends a request as the given client; each has 100 a minute.
func (s *stage) ask(t *testing.T, client, method, path string, body any) reply {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.Tokens{Secret: "secret", Lifetime: time.Hour}.Sign(1, "test", "admin")
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", client)
	request.Header.Set("Authorization", "Bearer "+token)
	// Asked for by name, an archive is not unpacked on the way; none is wanted.
	request.Header.Set("Accept-Encoding", "identity")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, text.String(), answer.Header}
}

func (s *stage) expect(t *testing.T, want int, client, method, path string, body any) reply {
	t.Helper()
	got := s.ask(t, client, method, path, body)
	if got.status != want {
		t.Errorf("%s %s = %d %q, want %d", method, path, got.status, got.body, want)
	}
	return got
}

// The cases stand in one test because the services take seconds to start; the
// last ones take services away.
func TestServer(t *testing.T) {
	s := newStage(t)
	site, err := start(t.Context(), s.set)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(site.Handler())
	defer server.Close()
	s.url = server.URL
	for _, c := range []struct {
		name string
		run  func(*testing.T, *stage)
	}{
		{"writes to the primary, reads from the replica", readsAndWrites},
		{"logs in with a 64 MiB hash", logsIn},
		{"sends a letter through the queue", sendsLetter},
		{"counts health checks like anything else", limits},
		{"has its faults", faults},
		{"starts in order, and not without any of its parts", startsInOrder},
		{"stays out while a migration is dirty", dirty},
		{"never comes back to a broker that went", losesBroker},
		{"lets everybody in without Redis", losesRedis},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

func readsAndWrites(t *testing.T, s *stage) {
	student := map[string]string{"first_name": "A", "last_name": "B", "email": "a@example.org", "class": "9A"}
	s.expect(t, http.StatusCreated, "10.0.0.1", "POST", "/students", student)
	s.expect(t, http.StatusConflict, "10.0.0.1", "POST", "/students", student)
	s.replica.Exec(t, "CREATE TABLE schooldb.students (id INT, first_name TEXT, last_name TEXT, email TEXT, class TEXT)")
	s.expect(t, http.StatusNotFound, "10.0.0.1", "GET", "/students/1", nil)
	s.replica.Exec(t, "INSERT INTO schooldb.students VALUES (1, 'Replica', 'B', 'a@example.org', '9A')")
	if got := s.expect(t, http.StatusOK, "10.0.0.1", "GET", "/students/1", nil); !strings.Contains(got.body, "Replica") {
		t.Errorf("read %s, want the replica's row", got.body)
	}
}

func logsIn(t *testing.T, s *stage) {
	s.replica.Exec(t, "CREATE TABLE schooldb.execs (id INT, first_name TEXT, last_name TEXT, email TEXT, username TEXT, password TEXT, role TEXT, inactive BOOLEAN)")
	s.replica.Exec(t, fmt.Sprintf("INSERT INTO schooldb.execs VALUES (1, 'E', 'X', 'e@example.org', 'exec', '%s', 'admin', FALSE)", auth.Hash("right")))
	s.expect(t, http.StatusUnauthorized, "10.0.0.2", "POST", "/execs/login", map[string]string{"username": "exec", "password": "wrong"})
	s.expect(t, http.StatusUnauthorized, "10.0.0.2", "POST", "/execs/login", map[string]string{"username": "nobody", "password": "right"})
	got := s.expect(t, http.StatusOK, "10.0.0.2", "POST", "/execs/login", map[string]string{"username": "exec", "password": "right"})
	if cookie := got.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "Bearer=") || !strings.Contains(cookie, "; Secure") {
		t.Errorf("the cookie is %q", cookie)
	}
}

func sendsLetter(t *testing.T, s *stage) {
	s.expect(t, http.StatusCreated, "10.0.0.3", "POST", "/execs", map[string]string{"username": "exec", "password": "right", "email": "e@example.org", "first_name": "E"})
	s.expect(t, http.StatusNotFound, "10.0.0.3", "POST", "/execs/forgotpassword", map[string]string{"email": "who@example.org"})
	s.expect(t, http.StatusOK, "10.0.0.3", "POST", "/execs/forgotpassword", map[string]string{"email": "e@example.org"})
	connection, err := amqp.Dial(s.set.RabbitMQURL)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	letter, ok, err := channel.Get(queue.PasswordReset, true)
	if err != nil || !ok || !strings.Contains(string(letter.Body), "e@example.org") || letter.DeliveryMode != amqp.Persistent {
		t.Errorf("in the queue is %q, %t, %v", letter.Body, ok, err)
	}
}

func limits(t *testing.T, s *stage) {
	for n := range 100 {
		if got := s.ask(t, "10.0.0.4", "GET", "/healthz", nil); got.status != http.StatusOK {
			t.Fatalf("request %d = %d", n+1, got.status)
		}
	}
	s.expect(t, http.StatusTooManyRequests, "10.0.0.4", "GET", "/healthz", nil)
	s.expect(t, http.StatusOK, "10.0.0.5", "GET", "/healthz", nil)
}

func faults(t *testing.T, s *stage) {
	got := s.expect(t, http.StatusOK, "10.0.0.6", "GET", "/healthz", nil)
	if !strings.HasPrefix(got.body, `{"status":"ok"}`+"\x1f\x8b") {
		t.Errorf("the answer is %q, want an archive's bytes behind it", got.body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "http://studentsystemgo.local")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("from its own page: %s, want 403", answer.Status)
	}
	if got := s.expect(t, http.StatusOK, "10.0.0.6", "GET", "/metrics", nil); !strings.Contains(got.body, `http_requests_total{method="GET",path="/healthz",status="200"}`) {
		t.Errorf("the metrics do not count health checks:\n%.500s", got.body)
	}
}

func startsInOrder(t *testing.T, s *stage) {
	nowhere := servicetest.FreePort(t)
	away := s.set
	away.Primary.Port, away.Replica.Port = nowhere, nowhere
	away.RedisURL, away.RabbitMQURL, away.Photos.KeyPath = "redis://127.0.0.1:"+nowhere, "amqp://127.0.0.1:"+nowhere, os.DevNull
	for _, step := range []struct {
		part string
		mend func()
	}{
		{"primary database", func() { away.Primary = s.set.Primary }},
		{"replica database", func() { away.Replica = s.set.Replica }},
		{"Redis", func() { away.RedisURL = s.set.RedisURL }},
		{"RabbitMQ", func() { away.RabbitMQURL = s.set.RabbitMQURL }},
		{"CloudFront key", func() { away.Photos.KeyPath = s.set.Photos.KeyPath }},
	} {
		if _, err := start(t.Context(), away); err == nil || !strings.Contains(err.Error(), step.part) {
			t.Errorf("started with %v, want word of the %s", err, step.part)
		}
		step.mend()
	}
	if _, err := start(t.Context(), away); err != nil {
		t.Errorf("with everything there: %v", err)
	}
	plain := servicetest.StartMariaDB(t, "127.0.0.3", nowhere, false)
	away.Primary = plain.At
	// Newer servers make a certificate of their own and take the connection.
	if _, err := start(t.Context(), away); err != nil && !strings.Contains(err.Error(), "TLS requested but server does not support TLS") {
		t.Errorf("without TLS: %v", err)
	}
}

func dirty(t *testing.T, s *stage) {
	s.primary.Exec(t, "UPDATE schooldb.schema_migrations SET dirty = 1")
	if _, err := start(t.Context(), s.set); err == nil || !strings.Contains(err.Error(), "Dirty database version 2") {
		t.Errorf("started with %v", err)
	}
	s.primary.Exec(t, "UPDATE schooldb.schema_migrations SET dirty = 0")
}

func losesBroker(t *testing.T, s *stage) {
	s.broker.Kill()
	// What is sent before the connection is known to be broken is lost unseen.
	deadline, tick := time.After(10*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for s.ask(t, "10.0.0.8", "POST", "/execs/forgotpassword", map[string]string{"email": "e@example.org"}).status == http.StatusOK {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("still sends without a broker")
		}
	}
	s.expect(t, http.StatusInternalServerError, "10.0.0.7", "POST", "/execs/forgotpassword", map[string]string{"email": "e@example.org"})
	s.expect(t, http.StatusOK, "10.0.0.7", "GET", "/healthz", nil)
}

func losesRedis(t *testing.T, s *stage) {
	s.redis.Kill()
	s.expect(t, http.StatusOK, "10.0.0.4", "GET", "/healthz", nil)
}
