package release

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

// smokeStall is how long one of the tests may see the same: a route reaches
// Traefik some seconds after the pod is Ready.
const smokeStall = 3 * time.Minute

// Smoke proves that a release works: what is written arrives, what is sent is
// received, and the application answers where its users ask.
type Smoke struct {
	Cluster *cluster.Cluster
	Name    string
	Book    secrets.Book
	// Reach connects from the cluster's node; nil asks through the API server
	// instead, which leaves the ingress out.
	Reach cluster.Dial
	Note  func(text string)
}

// Run runs all tests and reports the first that fails.
func (s Smoke) Run(ctx context.Context) error {
	pods, err := readPods(ctx, s.Cluster, s.Name)
	if err != nil {
		return err
	}
	at := map[string]string{}
	for _, p := range pods {
		if c := p.Labels[componentLabel]; isReady(p) && at[c] == "" {
			at[c] = p.Name
		}
	}
	for _, test := range []struct {
		what string
		run  func(context.Context, map[string]string) (string, error)
	}{
		{"a row written on the primary to be read on the replica", s.replication()},
		{"a message through RabbitMQ", s.message},
		{"the application to answer", s.health},
	} {
		err := wait.Until(ctx, wait.Condition{What: test.what, Every: 2 * time.Second, Stall: smokeStall, Box: probeBox},
			func(ctx context.Context) (wait.State, error) {
				seen, err := test.run(ctx, at)
				return wait.State{Done: err == nil, Seen: seen}, err
			})
		if err != nil && ctx.Err() == nil {
			return &fault.Error{Code: fault.SmokeFailed, Op: "smoke test", Err: err, Evidence: s.Book.Secrets.Redact(fault.EvidenceOf(err))}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// asServer runs the client as the server's own user, which needs no password
// inside the pod; SQL goes in on standard input. Columns keep their names:
// without them, a vertical answer has none either.
func asServer(database string) []string {
	return []string{"sh", "-c", `exec mariadb --no-defaults --socket=/run/mysqld/mysqld.sock --user="$(id -un)" --batch ` + database}
}

const smokeTable = "ssg_bootstrap_smoke"

// replication writes once and then looks until it arrives. Without a replica
// the primary must give back what it got.
func (s Smoke) replication() func(context.Context, map[string]string) (string, error) {
	token := rand.Text()
	written := false
	return func(ctx context.Context, at map[string]string) (string, error) {
		primary, reader := at["mysql-primary"], at["mysql-replica"]
		if primary == "" {
			return "", errors.New("there is no mysql-primary")
		}
		if reader == "" {
			reader = primary
		}
		if !written {
			sql := fmt.Sprintf("CREATE TABLE IF NOT EXISTS %[1]s (token VARCHAR(64) PRIMARY KEY);\nREPLACE INTO %[1]s VALUES ('%[2]s');\n", smokeTable, token)
			if _, err := s.sql(ctx, primary, sql); err != nil {
				return "", err
			}
			written = true
		}
		out, err := s.sql(ctx, reader, fmt.Sprintf("SELECT token FROM %s WHERE token = '%s';\n", smokeTable, token))
		if err != nil {
			return "", err
		}
		if !strings.Contains(out, token) {
			return "", fmt.Errorf("written on %s, not yet on %s", primary, reader)
		}
		_, err = s.sql(ctx, primary, "DROP TABLE IF EXISTS "+smokeTable+";\n")
		return "arrived", err
	}
}

func (s Smoke) sql(ctx context.Context, pod, text string) (string, error) {
	return s.Cluster.Exec(ctx, cluster.Program{Pod: pod, Container: "mariadb", Argv: asServer(`"$DB_NAME"`), Stdin: text})
}

// message sends one through a queue of its own, as the application's user.
func (s Smoke) message(ctx context.Context, at map[string]string) (string, error) {
	pod := at["rabbitmq"]
	if pod == "" {
		return "", errors.New("there is no rabbitmq")
	}
	user, password := s.Book.Secrets[secrets.RabbitMQUser], s.Book.Secrets[secrets.RabbitMQPassword]
	conn, err := openBroker(ctx, s.Cluster, pod, user, password)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return "", fmt.Errorf("open a channel: %w", err)
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return "", fmt.Errorf("make a queue: %w", err)
	}
	token := rand.Text()
	if err := ch.PublishWithContext(ctx, "", q.Name, true, false, amqp.Publishing{Body: []byte(token)}); err != nil {
		return "", fmt.Errorf("send a message: %w", err)
	}
	got, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	if err != nil {
		return "", fmt.Errorf("wait for the message: %w", err)
	}
	select {
	case m := <-got:
		if string(m.Body) != token {
			return "", errors.New("another message came out than went in")
		}
		return "arrived", nil
	case <-ctx.Done():
		return "", errors.New("the message did not come back")
	}
}

// openBroker logs in to RabbitMQ through the API server.
func openBroker(ctx context.Context, c *cluster.Cluster, pod string, user, password secrets.Value) (*amqp.Connection, error) {
	conn, err := amqp.DialConfig("amqp://"+pod+":5672/", amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: user.Reveal(), Password: password.Reveal()}},
		Dial: func(string, string) (net.Conn, error) { return c.Forward(ctx, pod, 5672) },
	})
	if err != nil {
		return nil, fmt.Errorf("log in to RabbitMQ: %w", err)
	}
	return conn, nil
}

// health asks for /healthz the way its users do: the Ingress's host, at the
// node's own address.
func (s Smoke) health(ctx context.Context, _ map[string]string) (string, error) {
	if s.Reach == nil {
		return s.healthByAPI(ctx)
	}
	list, err := s.Cluster.Client.NetworkingV1().Ingresses(s.Cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: instanceLabel + "=" + s.Name})
	if err != nil {
		return "", s.Cluster.Explain("look at the Ingress", err)
	}
	if len(list.Items) == 0 || len(list.Items[0].Spec.Rules) == 0 {
		return s.healthByAPI(ctx)
	}
	node, err := s.nodeAddress(ctx)
	if err != nil {
		return "", err
	}
	return s.get(ctx, node, list.Items[0])
}

func (s Smoke) nodeAddress(ctx context.Context) (string, error) {
	nodes, err := s.Cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", s.Cluster.Explain("look at the node", err)
	}
	for _, n := range nodes.Items {
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				return a.Address, nil
			}
		}
	}
	return "", errors.New("the node has no address")
}

func (s Smoke) get(ctx context.Context, node string, i networkingv1.Ingress) (string, error) {
	scheme, port := "http", "80"
	if len(i.Spec.TLS) > 0 {
		scheme, port = "https", "443"
	}
	name := i.Spec.Rules[0].Host
	at := net.JoinHostPort(node, port)
	transport := &http.Transport{
		DialContext:       cluster.At(s.Reach, at),
		DisableKeepAlives: true,
		// The way leads through SSH to the node itself; whether the certificate
		// is one that browsers trust is not what is tested here.
		TLSClientConfig: &tls.Config{ServerName: name, InsecureSkipVerify: true}, //nolint:gosec // see above
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+name+"/healthz", nil)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", name, err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return "", fmt.Errorf("ask %s at %s: %w", request.URL, at, err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s at %s answers %s", request.URL, at, answer.Status)
	}
	return "answers", nil
}

// healthByAPI asks the application's Service through the API server.
func (s Smoke) healthByAPI(ctx context.Context) (string, error) {
	services, err := s.Cluster.Client.CoreV1().Services(s.Cluster.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: instanceLabel + "=" + s.Name + "," + componentLabel + "=app",
	})
	if err != nil {
		return "", s.Cluster.Explain("look at the Service", err)
	}
	if len(services.Items) == 0 {
		return "", errors.New("the application has no Service")
	}
	service := services.Items[0]
	var code int
	err = s.Cluster.Client.CoreV1().RESTClient().Get().Namespace(s.Cluster.Namespace).Resource("services").
		Name(fmt.Sprintf("%s:%d", service.Name, service.Spec.Ports[0].Port)).SubResource("proxy").Suffix("healthz").
		Do(ctx).StatusCode(&code).Error()
	if err != nil || code != http.StatusOK {
		return "", fmt.Errorf("%s answers %d: %w", service.Name, code, errors.Join(err))
	}
	return "answers", nil
}
