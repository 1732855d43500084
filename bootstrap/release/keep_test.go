package release

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// keeping is a Keeper, its cluster, and what it said.
type keeping struct {
	Keeper
	cluster *cluster.Cluster
	said    []string
}

func newKeeping(t *testing.T, objects ...runtime.Object) *keeping {
	k := &keeping{cluster: &cluster.Cluster{Name: "test", Client: fake.NewClientset(objects...), Namespace: "ns"}}
	k.Keeper = Keeper{
		Want: Want{Name: "ssg", Namespace: "ns"}, Store: secrets.NewStore(t.TempDir(), "test"), Now: time.Now,
		Note: func(text string) { k.said = append(k.said, text) },
	}
	return k
}

func (k *keeping) sync(t *testing.T) secrets.Book {
	t.Helper()
	book, err := k.Sync(t.Context(), k.cluster)
	if err != nil {
		t.Fatalf("%v\n%s", err, fault.EvidenceOf(err))
	}
	return book
}

func (k *keeping) secret(t *testing.T, c secrets.Component) *corev1.Secret {
	t.Helper()
	s, err := k.cluster.Client.CoreV1().Secrets("ns").Get(t.Context(), k.Want.SecretName(c), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func foreignSecret(data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "ssg-studentsystemgo-mysql", Namespace: "ns"}, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func TestSecretsAreMadeOnceAndStay(t *testing.T) {
	k := newKeeping(t)
	first := k.sync(t)
	if len(first.Secrets.Missing()) > 0 {
		t.Fatalf("missing: %v", first.Secrets.Missing())
	}
	if second := k.sync(t); !same(first.Secrets, second.Secrets) || second.Version != first.Version {
		t.Error("the second run made others")
	}
	for _, c := range secrets.Components() {
		s := k.secret(t, c)
		if s.Labels[cluster.ManagedByLabel] != cluster.ManagedBy || s.Annotations[cluster.DigestAnnotation] == "" {
			t.Errorf("%s lacks its marks", c)
		}
	}
	if len(k.said) > 0 {
		t.Errorf("said %v", k.said)
	}
}

func TestALostClusterGetsTheSameSecrets(t *testing.T) {
	k := newKeeping(t)
	first := k.sync(t)
	k.cluster = &cluster.Cluster{Name: "new disk", Client: fake.NewClientset(), Namespace: "ns"}
	if again := k.sync(t); !same(first.Secrets, again.Secrets) {
		t.Error("a new disk got other secrets")
	}
	if string(k.secret(t, secrets.MySQL).Data["root-password"]) != first.Secrets[secrets.MySQLRoot].Reveal() {
		t.Error("they did not arrive")
	}
}

func TestWhatTheClusterUsesIsTakenOverAndNotOverwritten(t *testing.T) {
	k := newKeeping(t, foreignSecret(map[string]string{"root-password": "theirs", "extra": "kept"}))
	book := k.sync(t)
	if book.Secrets[secrets.MySQLRoot].Reveal() != "theirs" {
		t.Error("the password in use was not taken over")
	}
	s := k.secret(t, secrets.MySQL)
	if string(s.Data["root-password"]) != "theirs" || string(s.Data["extra"]) != "kept" {
		t.Error("the cluster's Secret was overwritten")
	}
	if len(s.Data["replication-password"]) == 0 {
		t.Error("what it lacked was not added")
	}
}

func TestTheClusterWinsAndTheEarlierCopyStays(t *testing.T) {
	k := newKeeping(t)
	k.sync(t)
	s := k.secret(t, secrets.MySQL)
	s.Data["root-password"] = []byte("changed-there")
	if _, err := k.cluster.Client.CoreV1().Secrets("ns").Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	book := k.sync(t)
	if book.Secrets[secrets.MySQLRoot].Reveal() != "changed-there" || book.Version != 2 {
		t.Errorf("version %d", book.Version)
	}
	if len(k.said) != 1 || !strings.Contains(k.said[0], "mysql/root-password") || strings.Contains(k.said[0], "changed-there") {
		t.Errorf("said %v", k.said)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(k.Store.Path()), "secrets.v1.age")); err != nil {
		t.Error(err)
	}
}

func writeSecrets(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "secrets.values.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAGivenFileIsTakenOverAndTheRestIsMade(t *testing.T) {
	k := newKeeping(t)
	k.File = writeSecrets(t, "mysql:\n  auth:\n    rootPassword: canary-root\n  replication:\n    password: \"\"\nrabbitmq:\n  auth: {username: mq, password: canary-mq}\n")
	book := k.sync(t)
	if book.Secrets[secrets.MySQLRoot].Reveal() != "canary-root" || book.Secrets[secrets.RabbitMQUser].Reveal() != "mq" || len(book.Secrets.Missing()) > 0 {
		t.Error("not taken over, or not completed")
	}
	if url := string(k.secret(t, secrets.RabbitMQ).Data["url"]); url != "amqp://mq:canary-mq@rabbitmq:5672/" {
		t.Error("the broker's address does not have the given login")
	}
	k.sync(t) // the file may stay where it is

	k.File = writeSecrets(t, "mysql:\n  auth:\n    rootPassword: canary-other\n")
	_, err := k.Sync(t.Context(), k.cluster)
	text := fmt.Sprint(err, fault.EvidenceOf(err), fault.NextOf(err))
	if fault.CodeOf(err) != fault.SecretsDiffer || !strings.Contains(text, "mysql/root-password") || !strings.Contains(text, "rotate") || strings.Contains(text, "canary") {
		t.Errorf("got %s", text)
	}
}

func TestMistakesInASecretsFileAreNamedWithoutQuoting(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a value of the chart": {"mysql:\n  auth: {rootPassword: canary}\nhpa: {enabled: true}\n", "hpa.enabled"},
		"a number":             {"app:\n  jwtSecret: 12345\n", "app.jwtSecret"},
		"no YAML":              {"app: [canary", "not valid YAML"},
		"a misspelt key":       {"mysql:\n  auth: {root_password: canary}\n", "mysql.auth.root_password"},
	} {
		_, err := secrets.ReadValues(writeSecrets(t, c.text))
		text := fmt.Sprint(err, fault.EvidenceOf(err))
		if fault.CodeOf(err) != fault.ConfigInvalid || !strings.Contains(text, c.want) || strings.Contains(text, "canary") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestAPlanTellsWhatBecomesOfEachSecret(t *testing.T) {
	book, w := canaryBook(t), Want{Name: "ssg", Namespace: "ns"}
	seen := Seen{Secrets: map[string]string{}}
	plan := func(b secrets.Book) string {
		changes, err := secretChanges(w, b, seen)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, c := range changes {
			out = append(out, fmt.Sprintf("%s %s", c.Verb, strings.TrimPrefix(c.Object, "Secret ssg-studentsystemgo-")))
			if strings.Contains(c.Object+c.Why+c.Diff, canary) {
				t.Errorf("a secret in the plan: %+v", c)
			}
		}
		return strings.Join(out, ", ")
	}
	if got := plan(book); got != "create mysql, create rabbitmq, create app, create cloudfront-key" {
		t.Errorf("nothing there: %s", got)
	}
	for _, c := range secrets.Components() {
		d, err := book.Secrets.Data(c)
		if err != nil {
			t.Fatal(err)
		}
		seen.Secrets[w.SecretName(c)] = d.Digest(book.Salt)
	}
	if got := plan(book); got != "" {
		t.Errorf("all there: %s", got)
	}
	seen.Secrets[w.SecretName(secrets.App)] = ""
	if got := plan(book); got != "update app" {
		t.Errorf("one is foreign: %s", got)
	}
	if got := plan(secrets.Book{}); strings.Count(got, "update") != 4 {
		t.Errorf("this computer knows none: %s", got)
	}
}

func TestAPlanTellsWhyTheReleaseChanges(t *testing.T) {
	p := prepared{inputs: "i", tag: "sha-2"}
	good := Revision{Number: 3, Status: "deployed", Inputs: "i", Tag: "sha-2", Served: true}
	with := func(change func(*Revision)) Revision { r := good; change(&r); return r }
	for want, r := range map[string]Revision{
		"":                              good,
		"absent":                        {},
		"revision 3 is pending-upgrade": with(func(r *Revision) { r.Status = "pending-upgrade" }),
		"another helm made revision 3; its image stays": with(func(r *Revision) { r.Foreign = true }),
		"image tag sha-1 → sha-2":                       with(func(r *Revision) { r.Inputs, r.Tag = "j", "sha-1" }),
		"image tag sha-0 → sha-2":                       with(func(r *Revision) { r.Foreign, r.Tag = true, "sha-0" }),
		"chart or values differ":                        with(func(r *Revision) { r.Inputs = "j" }),
		"revision 3 was not seen to work":               with(func(r *Revision) { r.Served = false }),
	} {
		changes := releaseChanges(Want{Name: "ssg"}, p, r)
		got := ""
		if len(changes) == 1 {
			got = changes[0].Why
		}
		if got != want || len(changes) > 1 {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
