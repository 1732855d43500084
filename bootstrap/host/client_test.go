package host_test

import (
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

func TestQueryAndRunAsBothUsers(t *testing.T) {
	for name, cfg := range map[string]hosttest.Config{
		"free sudo": {}, "sudo password": {SudoPassword: "hunter two"}, "root": {User: "root"},
	} {
		t.Run(name, func(t *testing.T) {
			box := hosttest.New(t, cfg)
			c := box.Connect(t)
			out, err := c.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", "id -u; cat", "it's"}, Root: true, Stdin: []byte("in\x00put")})
			if err != nil || string(out) != "0\nin\x00put" {
				t.Fatalf("got %q, %v", out, err)
			}
			out, err = c.Query(t.Context(), host.Command{Argv: []string{"id", "-u"}})
			want := "1000\n"
			if cfg.User == "root" {
				want = "0\n"
			}
			if err != nil || string(out) != want {
				t.Fatalf("got %q, %v; want %q", out, err, want)
			}
		})
	}
}
