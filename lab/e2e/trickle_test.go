//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

// patience is how long one request is tried again, as a browser's user or a
// client library would.
const patience = 2 * time.Minute

// trickle is a steady trickle of requests of somebody who is logged in: each
// adds a student.
type trickle struct {
	base, host string
	token      string

	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	added   int
	retries int
	longest time.Duration
	failed  []error
}

const drillPassword = "a drill and no secret"

// newTrickle makes an account past the application, which lets only who has one
// make one, and logs in.
func newTrickle(t *testing.T, b *box) *trickle {
	t.Helper()
	salt := []byte("sixteen bytes ok")
	hash := argon2.IDKey([]byte(drillPassword), salt, 1, 64<<10, 3, 32)
	kept := base64.StdEncoding.EncodeToString(salt) + "." + base64.StdEncoding.EncodeToString(hash)
	b.database(t, primary, fmt.Sprintf("INSERT INTO execs (first_name, last_name, email, username, password, role) VALUES ('D', 'Rill', 'drill@example.org', 'drill', '%s', 'admin') ON DUPLICATE KEY UPDATE password = VALUES(password)", kept))
	w := &trickle{
		base: fmt.Sprintf("http://127.0.0.1:%d", b.guest.State().Ports.HTTP),
		host: strings.TrimSpace(b.root(t, kubectl+"get ingress -o jsonpath='{.items[0].spec.rules[0].host}'")),
		stop: make(chan struct{}),
	}
	w.done.Go(w.flow)
	t.Cleanup(w.end)
	return w
}

func (w *trickle) flow() {
	tick := time.NewTicker(2 * time.Second) // the application lets 100 a minute in
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		begin := time.Now()
		err := w.one(n)
		w.mu.Lock()
		w.longest = max(w.longest, time.Since(begin))
		if err != nil {
			w.failed = append(w.failed, err)
		}
		w.mu.Unlock()
	}
}

// one adds a student and reads it, trying again until patience ends.
func (w *trickle) one(n int) error {
	end := time.Now().Add(patience)
	student := fmt.Sprintf(`{"first_name":"S","last_name":"T","email":"s%d-%d@example.org","class":"7"}`, n, time.Now().UnixNano())
	for {
		err := w.add(student)
		if err == nil {
			w.mu.Lock()
			w.added++
			w.mu.Unlock()
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("request %d: %w", n, err)
		}
		w.mu.Lock()
		w.retries++
		w.mu.Unlock()
		// The end of the trickle waits for this request too: one that was given
		// up might be in the database and in nobody's count.
		time.Sleep(time.Second)
	}
}

func (w *trickle) add(student string) error {
	if w.token == "" {
		var in struct {
			Token string `json:"token"`
		}
		if err := w.ask("/execs/login", `{"username":"drill","password":"`+drillPassword+`"}`, &in); err != nil {
			return err
		}
		w.token = in.Token
	}
	return w.ask("/students", student, &struct{}{})
}

func (w *trickle) ask(path, body string, into any) error {
	request, err := http.NewRequest(http.MethodPost, w.base+path, bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	request.Host = w.host
	request.Header.Set("Content-Type", "application/json")
	if w.token != "" {
		request.Header.Set("Authorization", "Bearer "+w.token)
	}
	client := http.Client{Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		w.token = "" // the key that signs was rotated: log in again
	}
	if response.StatusCode == http.StatusConflict {
		return nil // an earlier try got through, and only its answer was lost
	}
	if response.StatusCode/100 != 2 {
		words, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return fmt.Errorf("%s: %s: %s", path, response.Status, words)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func (w *trickle) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.done.Wait()
}

// rotationsUnderRequests rotates every secret while somebody works.
func rotationsUnderRequests(t *testing.T, b *box, f *figures) {
	w := newTrickle(t, b)
	b.until(t, 3*time.Minute, `{ [ "$(`+sqlOne(primary, "SELECT COUNT(*) FROM students")+`)" -gt 0 ]; }`)
	for _, what := range []string{"mysql", "replication", "rabbitmq", "jwt"} {
		old := b.secret(t, what)
		r := b.client.must(t, "rotate", what, "--host", hostName)
		f.add(t, "rotate "+what, "%s", seconds(r.took))
		if now := b.secret(t, what); now == old {
			t.Errorf("%s: the secret is the same", what)
		}
		b.refuses(t, what, old)
	}
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	f.add(t, "requests during four rotations", "%d, of which %d were lost; %d tried again, the longest took %s", w.added, len(w.failed), w.retries, seconds(w.longest))
	for _, err := range w.failed {
		t.Error(err)
	}
	if got := b.database(t, primary, "SELECT COUNT(*) FROM students"); got != fmt.Sprint(w.added) {
		t.Errorf("%d students were added, %s are there", w.added, got)
	}
	b.client.must(t, "plan", "--host", hostName, "--exit-code")
}

// secret is what the rotation changes, as the cluster has it.
func (b *box) secret(t *testing.T, what string) string {
	t.Helper()
	where := map[string][2]string{
		"mysql": {"mysql", "password"}, "replication": {"mysql", "replication-password"},
		"rabbitmq": {"rabbitmq", "password"}, "jwt": {"app", "jwt-secret"},
	}[what]
	got := b.root(t, kubectl+"get secret ssg-studentsystemgo-"+where[0]+" -o jsonpath='{.data."+where[1]+"}' | base64 -d")
	if got == "" {
		t.Fatalf("there is no secret for %s", what)
	}
	return got
}

// refuses fails the test if the old secret still opens anything.
func (b *box) refuses(t *testing.T, what, old string) {
	t.Helper()
	user := map[string]string{"mysql": "ssg", "replication": "repl"}[what]
	if user == "" {
		return // the rotation itself tries the broker's and the tokens'
	}
	out := b.root(t, kubectl+"exec -i "+primary+" -- sh -c 'read -r MYSQL_PWD; export MYSQL_PWD; mariadb --no-defaults -h 127.0.0.1 --protocol=tcp -u "+user+" -e \"DO 1\" 2>&1 || true' <<'PWD'\n"+old+"\nPWD\n")
	if !strings.Contains(out, "Access denied") {
		t.Errorf("the old password of %s is not refused: %q", user, out)
	}
}
