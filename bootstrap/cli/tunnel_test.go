package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

func TestTheTunnelSurvivesACutAndEndsWithItsWork(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer api.Close()
	box := hosttest.New(t, hosttest.Config{})
	s := &session{client: box.Connect(t)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := errors.New("done")
	err = s.serveWhile(t.Context(), l, api.Listener.Addr().String(), func(context.Context) error {
		for range 2 {
			if got := get(t, "http://"+l.Addr().String()); got != "ok" {
				t.Errorf("got %q", got)
			}
			box.Link.Cut()
		}
		return done
	})
	if !errors.Is(err, done) {
		t.Errorf("got %v", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("the port is still open")
	}
}

// get asks once, over a connection of its own.
func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
