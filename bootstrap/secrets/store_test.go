package secrets

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func complete(t *testing.T) Set {
	t.Helper()
	s, err := Set{}.Complete("studentsystemgo", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsMadeIsWholeAndFits(t *testing.T) {
	s := complete(t)
	if m := s.Missing(); len(m) > 0 {
		t.Fatalf("missing: %v", m)
	}
	pair, err := tls.X509KeyPair([]byte(s[MySQLCert].Reveal()), []byte(s[MySQLKey].Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(s[MySQLCA].Reveal())) {
		t.Fatal("the authority is no certificate")
	}
	for _, name := range []string{"mysql-primary", "mysql-primary-0.mysql-primary.studentsystemgo.svc.cluster.local", "127.0.0.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	block, _ := pem.Decode([]byte(s[CloudFrontKey].Reveal()))
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
		t.Error(err)
	}
	for _, k := range []Key{MySQLRoot, MySQLApp, MySQLReplication, RabbitMQPassword, JWT} {
		p := s[k].Reveal()
		if len(p) < 32 || url.QueryEscape(p) != p {
			t.Errorf("%s has %d characters or needs escaping", k, len(p))
		}
	}
}

func TestWhatWasGivenIsKept(t *testing.T) {
	s, err := Set{MySQLRoot: NewValue("given"), MySQLCert: NewValue("alone")}.Complete("ns", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s[MySQLRoot].Reveal() != "given" {
		t.Error("a given password was replaced")
	}
	if _, err := tls.X509KeyPair([]byte(s[MySQLCert].Reveal()), []byte(s[MySQLKey].Reveal())); err != nil {
		t.Errorf("a certificate without its key must be replaced: %v", err)
	}
}

func TestTheSecretsHoldTheContractsKeys(t *testing.T) {
	want := map[Component]string{
		MySQL: "ca.crt password replication-password root-password tls.crt tls.key", RabbitMQ: "definitions.json password url username",
		App: "db-password jwt-secret", CloudFront: "cloudfront_private_key.pem",
	}
	s := complete(t)
	for _, c := range Components() {
		d, err := s.Data(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range strings.Fields(want[c]) {
			if d[k].Empty() {
				t.Errorf("%s lacks %s", c, k)
			}
		}
		if n := len(strings.Fields(want[c])); len(d) != n {
			t.Errorf("%s has %d keys, want %d", c, len(d), n)
		}
		data := map[string][]byte{}
		for k, v := range d {
			data[k] = []byte(v.Reveal())
		}
		for k, v := range c.Adopt(data) {
			if v != s[k] {
				t.Errorf("%s is not read back", k)
			}
		}
	}
	d, _ := s.Data(RabbitMQ)
	if got, want := d["url"].Reveal(), fmt.Sprintf("amqp://ssg:%s@rabbitmq:5672/", s[RabbitMQPassword].Reveal()); got != want {
		t.Errorf("the URL differs from amqp://user:password@rabbitmq:5672/")
	}
	var defs struct {
		Users []struct{ Name, Password string }
	}
	if err := json.Unmarshal([]byte(d["definitions.json"].Reveal()), &defs); err != nil || defs.Users[0].Password != s[RabbitMQPassword].Reveal() {
		t.Error("the definitions lack the user")
	}
}

func TestOnlyThePodsThatReadASecretAtTheirStartAreRolled(t *testing.T) {
	s, salt := complete(t), NewValue("salt")
	before, err := s.Rolls(salt)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[Key]string{
		MySQLRoot: "", MySQLReplication: "", MySQLApp: "app", JWT: "app", CloudFrontKey: "app",
		RabbitMQPassword: "app worker", MySQLCert: "mysql-primary mysql-replica",
	} {
		after, err := s.With(Set{k: NewValue("other")}).Rolls(salt)
		if err != nil {
			t.Fatal(err)
		}
		rolled := []string{}
		for _, w := range []string{"app", "worker", "mysql-primary", "mysql-replica"} {
			if before[w] != after[w] {
				rolled = append(rolled, w)
			}
		}
		if got := strings.Join(rolled, " "); got != want {
			t.Errorf("%s rolls %q, want %q", k, got, want)
		}
	}
}

func TestADigestNeedsTheSalt(t *testing.T) {
	d := Data{"a": NewValue("x")}
	if d.Digest(NewValue("1")) == d.Digest(NewValue("2")) || d.Digest(NewValue("1")) != d.Digest(NewValue("1")) {
		t.Error("not keyed, or not stable")
	}
	if (Data{"a": NewValue("b c")}).Digest(NewValue("1")) == (Data{"a": NewValue("b"), "c": NewValue("")}).Digest(NewValue("1")) {
		t.Error("two contents look alike")
	}
}

func TestTheBookIsEncryptedAndEveryVersionStays(t *testing.T) {
	dir := t.TempDir()
	st := NewStore(dir, "oldpc")
	b, err := st.Load()
	if err != nil || !b.Empty() {
		t.Fatalf("a store that was never written: %v", err)
	}
	const canary = "canary-55aa"
	b.Salt, b.Secrets = NewValue("salt"), Set{MySQLRoot: NewValue(canary)}
	if err := st.Save(&b); err != nil {
		t.Fatal(err)
	}
	b.Secrets = Set{MySQLRoot: NewValue(canary + "-2")}
	b.Staged = &Rotation{What: "mysql", Stage: "staged", New: Set{MySQLRoot: NewValue(canary + "-3")}}
	if err := st.Save(&b); err != nil {
		t.Fatal(err)
	}
	got, err := NewStore(dir, "oldpc").Load()
	if err != nil || got.Version != 2 || got.Secrets[MySQLRoot].Reveal() != canary+"-2" || got.Staged.New[MySQLRoot].Reveal() != canary+"-3" {
		t.Fatalf("read back: %v, version %d", err, got.Version)
	}
	if err := os.Rename(filepath.Join(dir, "oldpc", "secrets.v1.age"), st.Path()); err != nil {
		t.Fatal(err)
	}
	if got, err = st.Load(); err != nil || got.Secrets[MySQLRoot].Reveal() != canary {
		t.Errorf("the earlier version: %v", err)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), canary) {
			t.Errorf("%s holds the secret in the clear", path)
		}
		info, _ := d.Info()
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestABookThatCannotBeOpenedIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	st := NewStore(dir, "oldpc")
	b := Book{Secrets: Set{MySQLRoot: NewValue("canary-1")}}
	if err := st.Save(&b); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"another identity": func() error {
			return os.WriteFile(filepath.Join(dir, "identity.age"), []byte("AGE-SECRET-KEY-1CANARY\n"), 0o600)
		},
		"no identity": func() error { return os.Remove(filepath.Join(dir, "identity.age")) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		_, err := st.Load()
		if fault.CodeOf(err) != fault.SecretsUnreadable || !strings.Contains(fault.NextOf(err), "identity.age") || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
