package host_test

import (
	"errors"
	"os"
	"testing"
	"time"

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

func TestAGreetingIsNoAnswer(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{Greeting: "Welcome!\nHave fun", SudoPassword: "pw"})
	c := box.Connect(t)
	for _, root := range []bool{false, true} {
		q := host.Command{Argv: []string{"echo", "answer"}, Root: root}
		if out, err := c.Query(t.Context(), q); err != nil || string(out) != "answer\n" {
			t.Errorf("query: got %q, %v", out, err)
		}
		if out, err := c.Run(t.Context(), q); err != nil || string(out) != "answer\n" {
			t.Errorf("run: got %q, %v", out, err)
		}
	}
}

func TestCleanUploadsKeepsWhatIsNewOrNeeded(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	const dir = "/var/lib/ssg-bootstrap/uploads/"
	old := time.Now().AddDate(0, 0, -30)
	for _, name := range []string{"old.part", "needed.part", "new.part"} {
		box.WriteFile(dir+name, "x", 0o600)
		if name != "new.part" {
			if err := os.Chtimes(box.Path(dir+name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := box.Connect(t)
	for range 2 {
		if err := c.CleanUploads(t.Context(), 14, "needed"); err != nil {
			t.Fatal(err)
		}
	}
	if box.Exists(dir+"old.part") || !box.Exists(dir+"needed.part") || !box.Exists(dir+"new.part") {
		t.Error("the wrong parts were removed")
	}
	empty := hosttest.New(t, hosttest.Config{})
	if err := empty.Connect(t).CleanUploads(t.Context(), 14); err != nil {
		t.Errorf("without any: %v", err)
	}
}

// TestOneRoundTripIsEnough holds the way from nothing to the first answer of
// root to one command: on a slow box each start of sudo counts.
func TestOneRoundTripIsEnough(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{SudoPassword: "pw"})
	c := box.Connect(t)
	cs := make([]host.Command, 40)
	for i := range cs {
		cs[i] = host.Command{Argv: []string{"echo", "x"}, Root: true}
	}
	if _, err := c.QueryMany(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	if n := c.Stats().RoundTrips; n != 1 || len(box.Ran("sudo")) != 1 {
		t.Errorf("%d commands, sudo %d times", n, len(box.Ran("sudo")))
	}
}

// TestAsideIsBeside would never end if one query waited for the other.
func TestAsideIsBeside(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	other := make(chan struct{})
	box.Command("slow", func(c *hosttest.Call) int {
		select {
		case <-other:
			return 0
		case <-c.Ctx.Done():
			return 1
		}
	})
	box.Command("fast", func(*hosttest.Call) int { close(other); return 0 })
	answers, err := box.Connect(t).QueryMany(t.Context(), []host.Command{
		{Argv: []string{"slow"}, Root: true, Aside: true}, {Argv: []string{"fast"}, Root: true},
	})
	if err != nil || errors.Join(answers[0].Err, answers[1].Err) != nil {
		t.Errorf("%v, %+v", err, answers)
	}
}
