package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// school is a release that runs: databases, a broker, Secrets, and pods that
// read them when they start. Every call can be the one at which the power goes.
type school struct {
	t *testing.T
	// accepted are the hashes that open an account, by server and account.
	accepted map[string][]string
	// brokers are the broker's users and passwords.
	broker  map[string]string
	cluster secrets.Set
	// app and worker are what their pods read at their start; source is what
	// the replica follows with.
	app, worker secrets.Set
	source      secrets.Value
	restarts    []string
	calls       int
	dieAt       int
	// after says whether the call that dies has its effect first.
	after bool
	seen  []string
	book  secrets.Book
}

var errPower = errors.New("power cut")

func newSchool(t *testing.T) *school {
	s := secrets.Set{}
	for _, k := range secrets.Keys() {
		s[k] = secrets.NewValue(canary + "-old-" + string(k))
	}
	s[secrets.RabbitMQUser] = secrets.NewValue("ssg")
	w := &school{
		t: t, accepted: map[string][]string{}, broker: map[string]string{"ssg": s[secrets.RabbitMQPassword].Reveal()},
		cluster: s, app: s, worker: s, source: s[secrets.MySQLReplication],
		book: secrets.Book{Version: 1, Salt: secrets.NewValue("salt"), Secrets: s},
	}
	for _, role := range []string{"mysql-primary", "mysql-replica"} {
		w.restartDatabase(role)
	}
	return w
}

// restartDatabase gives each account the Secret's password and no other, as
// the chart does at every start.
func (w *school) restartDatabase(role string) {
	for user, k := range map[string]secrets.Key{"root": secrets.MySQLRoot, "ssg": secrets.MySQLApp, "repl": secrets.MySQLReplication} {
		w.accepted[role+"/"+user] = []string{nativeHash(w.cluster[k])}
	}
}

// call counts, lets the caller die, and holds the law that at every moment what
// runs can log in.
func (w *school) call(what string, effect func()) error {
	w.calls++
	if w.calls == w.dieAt && !w.after {
		return errPower
	}
	effect()
	w.seen = append(w.seen, what)
	w.lawful(what)
	if w.calls == w.dieAt {
		return errPower
	}
	return nil
}

func (w *school) lawful(after string) {
	w.t.Helper()
	for _, role := range []string{"mysql-primary", "mysql-replica"} {
		if !slices.Contains(w.accepted[role+"/ssg"], nativeHash(w.app[secrets.MySQLApp])) {
			w.t.Errorf("after %s the application is locked out of %s", after, role)
		}
	}
	if !slices.Contains(w.accepted["mysql-primary/repl"], nativeHash(w.source)) {
		w.t.Errorf("after %s the replica is locked out", after)
	}
	for name, pod := range map[string]secrets.Set{"application": w.app, "worker": w.worker} {
		if w.broker[pod[secrets.RabbitMQUser].Reveal()] != pod[secrets.RabbitMQPassword].Reveal() {
			w.t.Errorf("after %s the %s is locked out of the broker", after, name)
		}
	}
	// A pod that starts now reads the cluster's Secrets.
	if !slices.Contains(w.accepted["mysql-primary/ssg"], nativeHash(w.cluster[secrets.MySQLApp])) ||
		w.broker[w.cluster[secrets.RabbitMQUser].Reveal()] != w.cluster[secrets.RabbitMQPassword].Reveal() {
		w.t.Errorf("after %s a pod that starts would be locked out", after)
	}
}

func (w *school) Load() (secrets.Book, error) {
	b := w.book
	if b.Staged != nil {
		staged := *b.Staged
		b.Staged = &staged
	}
	return b, nil
}

func (w *school) Save(b *secrets.Book) error {
	return w.call("save", func() {
		w.book = *b
		if b.Staged != nil {
			kept := *b.Staged
			w.book.Staged = &kept
		}
	})
}

func (w *school) SQL(_ context.Context, role, text string) (string, error) {
	if strings.Contains(text, "SHOW REPLICA STATUS") {
		io := "Connecting"
		if slices.Contains(w.accepted["mysql-primary/repl"], nativeHash(w.source)) {
			io = "Yes"
		}
		return fmt.Sprintf("  Slave_IO_Running: %s\n  Slave_SQL_Running: Yes\n", io), nil
	}
	altered := regexp.MustCompile(`ALTER USER IF EXISTS '(\w+)'@'[^']+' IDENTIFIED VIA (.*);`)
	hash := regexp.MustCompile(`mysql_native_password USING '(\*[0-9A-F]{40})'`)
	master := regexp.MustCompile(`MASTER_PASSWORD='([^']*)'`)
	matched := altered.FindAllStringSubmatch(text, -1)
	change := master.FindStringSubmatch(text)
	if len(matched) == 0 && change == nil {
		w.t.Errorf("not understood: %s", text)
	}
	if len(matched) > 0 && (strings.Contains(text, canary) || !strings.HasPrefix(text, "SET sql_log_bin=0;\n")) {
		w.t.Errorf("a password in a statement, or one that is logged: %s", text)
	}
	return "", w.call("sql on "+role, func() {
		for _, m := range matched {
			w.accepted[role+"/"+m[1]] = nil
			for _, h := range hash.FindAllStringSubmatch(m[2], -1) {
				w.accepted[role+"/"+m[1]] = append(w.accepted[role+"/"+m[1]], h[1])
			}
		}
		if change != nil {
			w.source = secrets.NewValue(change[1])
		}
	})
}

func (w *school) Login(_ context.Context, role string, user, password secrets.Value) (bool, error) {
	return slices.Contains(w.accepted[role+"/"+user.Reveal()], nativeHash(password)), w.call("login to "+role, func() {})
}

func (w *school) Accounts(context.Context) (Accounts, error) {
	return Accounts{App: "ssg", Replication: "repl", Replica: true}, nil
}

func (w *school) BrokerLogin(_ context.Context, user, password secrets.Value) (bool, error) {
	ok := false
	err := w.call("login to rabbitmq", func() {
		kept, known := w.broker[user.Reveal()]
		ok = known && kept == password.Reveal()
	})
	return ok, err
}

func (w *school) PutBrokerUser(_ context.Context, user, password secrets.Value) error {
	return w.call("rabbitmq's user "+user.Reveal(), func() { w.broker[user.Reveal()] = password.Reveal() })
}

func (w *school) DropBrokerUser(_ context.Context, user string) error {
	return w.call("rabbitmq without "+user, func() { delete(w.broker, user) })
}

func TestABrokersUserGoesByTheHashOfItsPassword(t *testing.T) {
	text, err := brokerUser(secrets.NewValue("ssg-2"), secrets.NewValue(canary))
	if err != nil || strings.Contains(text, canary) {
		t.Fatalf("%s, %v", text, err)
	}
	var got struct {
		Users []struct {
			Name string
			Hash []byte `json:"password_hash"`
		}
		Permissions []struct{ User, Vhost string }
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Users) != 1 || len(got.Permissions) != 1 || got.Permissions[0].User != "ssg-2" {
		t.Fatalf("%s, %v", text, err)
	}
	hash := got.Users[0].Hash
	if sum := sha256.Sum256(append(hash[:4:4], canary...)); !bytes.Equal(sum[:], hash[4:]) {
		t.Error("the hash is of something else")
	}
}

func (w *school) Publish(_ context.Context, book secrets.Book, c secrets.Component) error {
	return w.call("publish "+string(c), func() {
		w.cluster = maps.Clone(w.cluster)
		for _, k := range secrets.Keys() {
			if owner, _, _ := strings.Cut(string(k), "/"); owner == string(c) || c == secrets.App && k == secrets.MySQLApp {
				w.cluster[k] = book.Secrets[k]
			}
		}
	})
}

func (w *school) Roll(_ context.Context, book secrets.Book) error {
	want, err := book.Secrets.Rolls(book.Salt)
	if err != nil {
		return err
	}
	for name, pod := range map[string]*secrets.Set{"app": &w.app, "worker": &w.worker} {
		has, err := pod.Rolls(book.Salt)
		if err != nil {
			return err
		}
		if has[name] == want[name] {
			continue
		}
		if err := w.call("roll "+name, func() { *pod, w.restarts = w.cluster, append(w.restarts, name) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *school) rotate(what string) error {
	r := Rotator{Books: w, Services: w, Note: func(string) {}, Now: func() time.Time { return time.Unix(1_700_000_000, 0) }}
	return r.Run(w.t.Context(), what)
}

// finished holds what must be true at the end of a rotation.
func (w *school) finished(old secrets.Set, keys ...secrets.Key) {
	w.t.Helper()
	if w.book.Staged != nil {
		w.t.Errorf("left at the stage %s", w.book.Staged.Stage)
	}
	for _, k := range secrets.Keys() {
		if changed := w.book.Secrets[k] != old[k]; changed != slices.Contains(keys, k) {
			w.t.Errorf("%s changed: %v", k, changed)
		}
		if w.cluster[k] != w.book.Secrets[k] {
			w.t.Errorf("the cluster holds another %s", k)
		}
	}
	for account, hashes := range w.accepted {
		if len(hashes) != 1 {
			w.t.Errorf("%s has %d passwords", account, len(hashes))
		}
	}
	if slices.Contains(keys, secrets.MySQLApp) && w.accepted["mysql-replica/ssg"][0] == nativeHash(old[secrets.MySQLApp]) {
		w.t.Error("the old password still opens the replica")
	}
	if len(w.broker) != 1 {
		w.t.Errorf("the broker has the users %v", slices.Sorted(maps.Keys(w.broker)))
	}
}

func rotated() map[string][]secrets.Key {
	return map[string][]secrets.Key{
		"mysql":       {secrets.MySQLRoot, secrets.MySQLApp},
		"replication": {secrets.MySQLReplication},
		"rabbitmq":    {secrets.RabbitMQUser, secrets.RabbitMQPassword},
		"jwt":         {secrets.JWT},
	}
}

func TestEveryRotationKeepsEverybodyIn(t *testing.T) {
	restarts := map[string]string{"mysql": "app", "replication": "", "rabbitmq": "app worker", "jwt": "app"}
	for _, what := range Rotations() {
		t.Run(what, func(t *testing.T) {
			w := newSchool(t)
			old := w.book.Secrets
			if err := w.rotate(what); err != nil {
				t.Fatal(err)
			}
			w.finished(old, rotated()[what]...)
			slices.Sort(w.restarts)
			if got := strings.Join(w.restarts, " "); got != restarts[what] {
				t.Errorf("restarted %q, want %q", got, restarts[what])
			}
		})
	}
}

func TestARotationThatIsCutAnywhereGoesOn(t *testing.T) {
	for _, what := range Rotations() {
		whole := newSchool(t)
		if err := whole.rotate(what); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= whole.calls; n++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", what, n, after), func(t *testing.T) {
					w := newSchool(t)
					old := w.book.Secrets
					w.dieAt, w.after = n, after
					if err := w.rotate(what); !errors.Is(err, errPower) {
						t.Fatalf("call %d of %d: %v", n, whole.calls, err)
					}
					w.dieAt = 0
					if err := w.rotate(what); err != nil {
						t.Fatal(err)
					}
					if n == whole.calls && after {
						// It was finished; this was a second one.
						return
					}
					if n == 1 && !after {
						old = newSchool(t).book.Secrets
					}
					w.finished(old, rotated()[what]...)
				})
			}
		}
	}
}

func TestADatabaseThatRestartsInBetweenIsToldAgain(t *testing.T) {
	w := newSchool(t)
	old := w.book.Secrets
	w.after = true
	// The Secrets are new, and nobody has read them yet.
	for w.dieAt = 1; ; w.dieAt++ {
		again := newSchool(t)
		again.dieAt, again.after = w.dieAt, true
		_ = again.rotate("replication")
		if s := again.book.Staged; s != nil && s.Stage == published {
			w = again
			break
		}
	}
	w.dieAt = 0
	w.source = w.cluster[secrets.MySQLReplication]
	w.restartDatabase("mysql-primary")
	w.restartDatabase("mysql-replica")
	if err := w.rotate("replication"); err != nil {
		t.Fatal(err)
	}
	w.finished(old, secrets.MySQLReplication)
}

func TestAnotherRotationWaitsForTheFirst(t *testing.T) {
	w := newSchool(t)
	w.dieAt, w.after = 3, true
	if err := w.rotate("mysql"); fault.CodeOf(err) != fault.RotationFailed {
		t.Fatalf("got %v", err)
	}
	w.dieAt = 0
	err := w.rotate("jwt")
	if fault.CodeOf(err) != fault.RotationFailed || !strings.Contains(fault.NextOf(err), "rotate mysql") {
		t.Errorf("got %v, next %q", err, fault.NextOf(err))
	}
	_, err = settled(w.book)
	if fault.CodeOf(err) != fault.RotationFailed {
		t.Errorf("an install would mix the two sets: %v", err)
	}
}

func TestUnknownRotationsAreNamed(t *testing.T) {
	if err := newSchool(t).rotate("redis"); fault.CodeOf(err) != fault.Usage || !strings.Contains(fault.NextOf(err), "jwt") {
		t.Errorf("got %v", err)
	}
}

func TestTheHashIsMariaDBs(t *testing.T) {
	// As the server prints it for IDENTIFIED BY 'newpw'.
	if got := nativeHash(secrets.NewValue("newpw")); got != "*DF0732E0434670AF9F0199F4D2837342EBE03C63" {
		t.Errorf("got %s", got)
	}
}

func TestUsersAreCountedOn(t *testing.T) {
	for old, want := range map[string]string{"ssg": "ssg-2", "ssg-2": "ssg-3", "ssg-9": "ssg-10", "my-app": "my-app-2", "a-1": "a-1-2"} {
		if got := nextUser(old); got != want {
			t.Errorf("%s → %s, want %s", old, got, want)
		}
	}
}
