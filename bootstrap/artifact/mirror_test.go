package artifact

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const release = "v1.36.4+k3s1"

// mirror is a server with one release. before may answer a request for the
// file itself, which is the n-th such GET, and says whether it did.
type mirror struct {
	*httptest.Server
	client  *http.Client // nil for one that goes over loopback
	mu      sync.Mutex
	content []byte
	sums    string
	etag    string
	before  func(n int, w http.ResponseWriter, r *http.Request) bool
	gets    []string // the Range headers of all GETs of the file
	asked   int      // requests of any kind
	channel string
}

func newMirror(t *testing.T, content []byte) *mirror {
	m := stocked(content)
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

// newMirrorInside is newMirror in a bubble of synctest, for what is about time:
// a second of silence is one there, and not a computer with other things to do.
func newMirrorInside(t *testing.T, content []byte) *mirror {
	m := stocked(content)
	w := &wire{calls: make(chan net.Conn), closed: make(chan struct{})}
	m.Server = &httptest.Server{Listener: w, Config: &http.Server{Handler: m}}
	m.Start()
	t.Cleanup(m.Close)
	m.client = &http.Client{Transport: &http.Transport{DialContext: w.dial}}
	return m
}

func stocked(content []byte) *mirror {
	m := &mirror{content: content, etag: `"one"`, channel: release}
	m.sums = digestOf(content) + "  k3s\n" + strings.Repeat("0", 64) + " *k3s-airgap-images-amd64.tar.zst\n"
	return m
}

// wire is a network within this process, which a bubble's clock can wait for.
type wire struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.calls:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case w.calls <- far:
		return near, nil
	case <-w.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.asked++
	folder := "/k3s-io/k3s/releases/download/" + strings.ReplaceAll(release, "+", "%2B") + "/"
	file, ok := strings.CutPrefix(r.URL.EscapedPath(), folder)
	channel, isChannel := strings.CutPrefix(r.URL.Path, "/v1-release/channels/")
	switch {
	case isChannel && channel == "stable":
		to := "/k3s-io/k3s/releases/tag/" + m.channel
		m.mu.Unlock()
		http.Redirect(w, r, to, http.StatusFound)
		return
	case ok && file == K3sSums:
		sums := m.sums
		m.mu.Unlock()
		fmt.Fprint(w, sums)
		return
	case !ok || file != "k3s":
		m.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	n, before, content := len(m.gets), m.before, m.content
	if r.Method == http.MethodGet {
		m.gets = append(m.gets, r.Header.Get("Range"))
	}
	w.Header().Set("ETag", m.etag)
	m.mu.Unlock()
	if r.Method == http.MethodGet && before != nil && before(n, w, r) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (m *mirror) ranges() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.gets...)
}

func (m *mirror) requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// options are those of a test: its own folders, and the patience that a user
// gets, which no computer is too busy for.
func (m *mirror) options(t *testing.T) Options {
	dir := t.TempDir()
	return Options{
		CacheDir:  filepath.Join(dir, "cache"),
		LockPath:  filepath.Join(dir, "ssg-bootstrap.lock"),
		K3sMirror: m.URL,
		HTTP:      m.client,
	}
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func k3s(version string) Ref { return Ref{Name: "k3s", Version: version, File: "k3s"} }

func bytesOf(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i * 7 >> 3)
	}
	return out
}

// cut sends the headers of the whole answer and only the first n bytes of it.
func cut(content []byte, n int) func(int, http.ResponseWriter, *http.Request) bool {
	return func(try int, w http.ResponseWriter, r *http.Request) bool {
		if try > 0 {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:n])
		panic(http.ErrAbortHandler)
	}
}
