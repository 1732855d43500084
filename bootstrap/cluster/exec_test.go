package cluster

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// kubelet is the end of an API server that runs programs and forwards ports:
// what is exec'd gets its input back in upper case, and a port answers a line.
type kubelet struct {
	t *testing.T
	// serving is over before the test is: nobody else waits for a connection
	// that was upgraded, and what it reports has to have its test.
	serving sync.WaitGroup
	mu      sync.Mutex
	// urls are what was asked for: argv is in them.
	urls []string
}

func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.serving.Add(1)
	defer k.serving.Done()
	k.mu.Lock()
	k.urls = append(k.urls, r.URL.String())
	k.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer token" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	want := "v4.channel.k8s.io"
	if strings.HasSuffix(r.URL.Path, "/portforward") {
		want = forwardProtocol
	}
	if _, err := httpstream.Handshake(r, w, []string{want}); err != nil {
		k.t.Error(err)
		return
	}
	streams := make(chan httpstream.Stream, 4)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if conn == nil {
		k.t.Error("no upgrade")
		return
	}
	defer conn.Close()
	if want == forwardProtocol {
		forward(streams, conn.CloseChan())
		<-conn.CloseChan()
		return
	}
	k.exec(r, streams)
}

func (k *kubelet) exec(r *http.Request, streams chan httpstream.Stream) {
	by := map[string]httpstream.Stream{}
	for len(by) < 4 {
		s := <-streams
		by[s.Headers().Get(corev1.StreamType)] = s
	}
	in, err := io.ReadAll(by[corev1.StreamTypeStdin])
	if err != nil {
		k.t.Error(err)
	}
	status := `{"status":"Success"}`
	if r.URL.Query()["command"][0] == "fail" {
		fmt.Fprintln(by[corev1.StreamTypeStderr], "first line\nERROR 1045: no")
		status = `{"status":"Failure","reason":"NonZeroExitCode","message":"failed","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}`
	} else {
		fmt.Fprint(by[corev1.StreamTypeStdout], strings.ToUpper(string(in)))
	}
	fmt.Fprint(by[corev1.StreamTypeError], status)
	for _, s := range by {
		_ = s.Close()
	}
}

// forward answers one line. A client that leaves before it has said one is no
// mistake of this end's: what it missed, it tells itself.
func forward(streams <-chan httpstream.Stream, left <-chan bool) {
	for range 2 {
		select {
		case <-left:
			return
		case s := <-streams:
			if s.Headers().Get(corev1.StreamType) != corev1.StreamTypeData {
				continue
			}
			if line, err := bufio.NewReader(s).ReadString('\n'); err == nil {
				fmt.Fprintf(s, "%s said %s", s.Headers().Get(corev1.PortHeader), line)
			}
		}
	}
}

// through returns a cluster whose API is only to be reached by the dialer: the
// kubeconfig names an address at which nobody listens.
func through(t *testing.T) (*Cluster, *kubelet, *int) {
	k := &kubelet{t: t}
	server := httptest.NewTLSServer(k)
	t.Cleanup(func() { server.Close(); k.serving.Wait() })
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	kubeconfig := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"x","contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}],
"clusters":[{"name":"x","cluster":{"server":"https://127.0.0.1:1","certificate-authority-data":%q}}],"users":[{"name":"x","user":{"token":"token"}}]}`, ca)
	dials := 0
	dial := At(func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, network, address)
	}, server.Listener.Addr().String())
	c, err := Through("test", "ns", secrets.NewValue(kubeconfig), dial)
	if err != nil {
		t.Fatal(err)
	}
	return c, k, &dials
}

func TestExecGoesThroughTheDialerWithSecretsOnStandardInput(t *testing.T) {
	c, k, dials := through(t)
	out, err := c.Exec(t.Context(), Program{Pod: "p", Container: "c", Argv: []string{"cat", "-"}, Stdin: "canary-1\n"})
	if err != nil || out != "CANARY-1\n" {
		t.Fatalf("%q, %v", out, err)
	}
	if *dials != 1 {
		t.Errorf("%d connections went through the dialer", *dials)
	}
	for _, u := range k.urls {
		if strings.Contains(u, "canary") || !strings.Contains(u, "/api/v1/namespaces/ns/pods/p/exec?") {
			t.Errorf("asked for %s", u)
		}
	}
}

func TestAProgramThatFailsSaysWhy(t *testing.T) {
	c, _, _ := through(t)
	_, err := c.Exec(t.Context(), Program{Pod: "p", Container: "c", Argv: []string{"fail"}})
	var failed *ExecError
	var code exec.CodeExitError
	if !errors.As(err, &failed) || !errors.As(err, &code) || code.Code != 3 {
		t.Fatalf("got %v", err)
	}
	if err.Error() != "fail in p: ERROR 1045: no" {
		t.Errorf("got %q", err)
	}
}

func TestAPortIsReachedThroughTheDialer(t *testing.T) {
	c, _, dials := through(t)
	conn, err := c.Forward(t.Context(), "rabbitmq-0", 5672)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || line != "5672 said hello\n" || *dials != 1 {
		t.Errorf("%q, %v, %d dials", line, err, *dials)
	}
}

func TestAForwardedPortEndsWithItsContext(t *testing.T) {
	c, _, _ := through(t)
	ctx, stop := context.WithCancel(t.Context())
	conn, err := c.Forward(ctx, "rabbitmq-0", 5672)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	ended := make(chan error, 1)
	go func() { _, err := conn.Read(make([]byte, 1)); ended <- err }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it reads on")
		}
	case <-time.After(10 * time.Second):
		t.Error("it is open")
	}
}

func TestADamagedKubeconfigIsNotQuoted(t *testing.T) {
	_, err := Through("oldpc", "ns", secrets.NewValue("users: [canary-2"), nil)
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}
