package release

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// secretsAnnotation is where the chart notes which secrets a pod has read.
const secretsAnnotation = "checksum/secrets"

// Live are the services of a release that runs.
type Live struct {
	Deployer Deployer
	Keeper   Keeper
}

var _ Services = Live{}

// SQL runs statements as the server's own user, on standard input.
func (l Live) SQL(ctx context.Context, role, text string) (string, error) {
	pod, err := l.pod(ctx, role)
	if err != nil {
		return "", err
	}
	return l.Deployer.Cluster.Exec(ctx, cluster.Program{Pod: pod, Container: "mariadb", Argv: asServer(""), Stdin: text})
}

// loginScript takes the password from the first line of its input. The
// environment of a process is its own user's to read, and nobody else runs in
// the pod.
const loginScript = `IFS= read -r MYSQL_PWD; export MYSQL_PWD; exec mariadb --no-defaults --socket=/run/mysqld/mysqld.sock --user="$0" --batch --skip-column-names`

// Login tries a login and does nothing with it.
func (l Live) Login(ctx context.Context, role string, user, password secrets.Value) (bool, error) {
	pod, err := l.pod(ctx, role)
	if err != nil {
		return false, err
	}
	_, err = l.Deployer.Cluster.Exec(ctx, cluster.Program{
		Pod: pod, Container: "mariadb", Argv: []string{"sh", "-c", loginScript, user.Reveal()}, Stdin: password.Reveal() + "\nDO 1;\n",
	})
	var failed *cluster.ExecError
	if errors.As(err, &failed) && strings.Contains(failed.Stderr, "ERROR 1045") {
		return false, nil
	}
	return err == nil, err
}

// Accounts asks the primary, whose environment names them.
func (l Live) Accounts(ctx context.Context) (Accounts, error) {
	pod, err := l.pod(ctx, "mysql-primary")
	if err != nil {
		return Accounts{}, err
	}
	out, err := l.Deployer.Cluster.Exec(ctx, cluster.Program{
		Pod: pod, Container: "mariadb", Argv: []string{"sh", "-c", `printf '%s\n%s\n' "$DB_USER" "$REPLICATION_USER"`},
	})
	if err != nil {
		return Accounts{}, err
	}
	names := strings.Fields(out)
	if len(names) != 2 {
		return Accounts{}, fmt.Errorf("%s does not name its accounts", pod)
	}
	sets, err := l.Deployer.Cluster.Client.AppsV1().StatefulSets(l.Deployer.Cluster.Namespace).List(ctx, l.selector("mysql-replica"))
	if err != nil {
		return Accounts{}, l.Deployer.Cluster.Explain("look for the replica", err)
	}
	return Accounts{App: names[0], Replication: names[1], Replica: len(sets.Items) > 0}, nil
}

// BrokerLogin logs in as the application does.
func (l Live) BrokerLogin(ctx context.Context, user, password secrets.Value) (bool, error) {
	pod, err := l.pod(ctx, "rabbitmq")
	if err != nil {
		return false, err
	}
	conn, err := openBroker(ctx, l.Deployer.Cluster, pod, user, password)
	var refused *amqp.Error
	switch {
	case errors.As(err, &refused) && refused.Code == amqp.AccessRefused:
		return false, nil
	case err != nil:
		return false, err
	}
	return true, conn.Close()
}

// PutBrokerUser goes by way of definitions: one start of rabbitmqctl, which takes
// an old box half a minute and a third of the broker's memory, in place of three,
// and none that reads a password. (With --quiet, that of 4.0 waits for one for
// ever.)
func (l Live) PutBrokerUser(ctx context.Context, user, password secrets.Value) error {
	definitions, err := brokerUser(user, password)
	if err != nil {
		return err
	}
	return l.broker(ctx, definitions, "sh", "-c", importScript)
}

// DropBrokerUser deletes a user and ends what it has open.
func (l Live) DropBrokerUser(ctx context.Context, user string) error {
	err := l.broker(ctx, "", "rabbitmqctl", "--quiet", "delete_user", user)
	var code utilexec.CodeExitError
	if errors.As(err, &code) && code.Code == noUser {
		return nil
	}
	return err
}

func (l Live) broker(ctx context.Context, input string, argv ...string) error {
	pod, err := l.pod(ctx, "rabbitmq")
	if err != nil {
		return err
	}
	_, err = l.Deployer.Cluster.Exec(ctx, cluster.Program{Pod: pod, Container: "rabbitmq", Argv: argv, Stdin: input})
	return err
}

// noUser is how rabbitmqctl ends when the user that it is asked for is not there.
const noUser = 67

// brokerUser is a user as RabbitMQ's definitions have it: an administrator of
// the one virtual host, by the hash of its password.
func brokerUser(user, password secrets.Value) (string, error) {
	var salt [4]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	sum := sha256.Sum256(append(salt[:], password.Reveal()...))
	all := ".*"
	text, err := json.Marshal(map[string]any{
		"users": []any{map[string]any{
			"name": user.Reveal(), "tags": "administrator", "hashing_algorithm": "rabbit_password_hashing_sha256",
			"password_hash": base64.StdEncoding.EncodeToString(append(salt[:], sum[:]...)),
		}},
		"permissions": []any{map[string]any{"user": user.Reveal(), "vhost": "/", "configure": all, "write": all, "read": all}},
	})
	if err != nil {
		return "", fmt.Errorf("write the broker's definitions: %w", err)
	}
	return string(text), nil
}

// Publish writes one component's Secret.
func (l Live) Publish(ctx context.Context, book secrets.Book, component secrets.Component) error {
	return l.Keeper.WriteOne(ctx, l.Deployer.Cluster, book, component)
}

// Roll restarts one workload after the other, and then lets Helm note what is
// there: it finds the pods as it would make them and restarts nothing.
func (l Live) Roll(ctx context.Context, book secrets.Book) error {
	checksums, err := book.Secrets.Rolls(book.Salt)
	if err != nil {
		return err
	}
	for _, component := range []string{"mysql-primary", "mysql-replica", "app", "worker"} {
		if err := l.rollOne(ctx, component, checksums[component]); err != nil {
			return err
		}
	}
	before := book
	if book.Staged != nil {
		before.Secrets = book.Secrets.With(book.Staged.Old)
	}
	return l.Deployer.record(ctx, before, book)
}

func (l Live) rollOne(ctx context.Context, component, checksum string) error {
	w, err := readWorkloads(ctx, l.Deployer.Cluster, l.Deployer.Want.Name)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{secretsAnnotation: checksum}},
	}}})
	if err != nil {
		return fmt.Errorf("write an annotation: %w", err)
	}
	apps := l.Deployer.Cluster.Client.AppsV1()
	changed := false
	for _, d := range w.deployments {
		if d.Labels[componentLabel] == component && d.Spec.Template.Annotations[secretsAnnotation] != checksum {
			_, err = apps.Deployments(d.Namespace).Patch(ctx, d.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			changed = true
		}
	}
	for _, s := range w.statefulSets {
		if s.Labels[componentLabel] == component && s.Spec.Template.Annotations[secretsAnnotation] != checksum {
			_, err = apps.StatefulSets(s.Namespace).Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			changed = true
		}
	}
	if err != nil {
		return l.Deployer.Cluster.Explain("restart the pods of "+component, err)
	}
	if changed {
		l.Deployer.Note("restarting the pods of " + component)
	}
	return l.Deployer.ready(ctx)
}

// pod is a pod of the component that serves.
func (l Live) pod(ctx context.Context, component string) (string, error) {
	pods, err := l.Deployer.Cluster.Client.CoreV1().Pods(l.Deployer.Cluster.Namespace).List(ctx, l.selector(component))
	if err != nil {
		return "", l.Deployer.Cluster.Explain("look for "+component, err)
	}
	for _, p := range pods.Items {
		if isReady(p) {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("no pod of %s is Ready", component)
}

func (l Live) selector(component string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: instanceLabel + "=" + l.Deployer.Want.Name + "," + componentLabel + "=" + component}
}

// RotateInput is what one rotation needs.
type RotateInput struct {
	Input
	Cluster *cluster.Cluster
	// Reach connects from the cluster's node; it may be nil.
	Reach cluster.Dial
	What  string
	Note  func(text string)
}

// Rotate replaces a secret of a release that runs.
func Rotate(ctx context.Context, in RotateInput) error {
	book, err := in.Store.Load()
	if err != nil {
		return err
	}
	// The smoke test logs in with what is in force by then.
	smoke := func(ctx context.Context) error {
		now, err := in.Store.Load()
		if err != nil {
			return err
		}
		return Smoke{Cluster: in.Cluster, Name: in.Want.Name, Book: now, Reach: in.Reach, Note: in.Note}.Run(ctx)
	}
	d := Deployer{Cluster: in.Cluster, Want: in.Want, Note: in.Note, Now: in.Now, Smoke: smoke, Redact: book.Secrets.Redact}
	return Rotator{
		Books: in.Store, Note: in.Note, Now: in.Now,
		Services: Live{Deployer: d, Keeper: in.keeper(in.Note)},
	}.Run(ctx, in.What)
}
