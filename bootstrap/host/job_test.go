package host_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

// waitFor is a job that says a word, waits for a file and says another.
const waitFor = `echo begun >>/tmp/began; echo one; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo two; exit "${1:-0}"`

func job(status string) host.Job {
	return host.Job{Name: "long", Argv: []string{"sh", "-c", waitFor, "sh", status}}
}

func TestAJobTellsItsLinesAndIsForgottenAtItsEnd(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{SudoPassword: "pw"})
	c := box.Connect(t)
	var lines []string
	err := c.Job(t.Context(), job("0"), func(line string) {
		lines = append(lines, line)
		box.WriteFile("/tmp/go", "", 0o644)
	})
	if err != nil || !slices.Equal(lines, []string{"one", "two"}) {
		t.Fatalf("got %q, %v", lines, err)
	}
	if u := box.Systemd.Unit("ssg-bootstrap-long"); u.Active != "inactive" {
		t.Errorf("the unit is still there: %+v", u)
	}
	if box.Exists("/run/ssg-bootstrap/jobs/ssg-bootstrap-long.log") {
		t.Error("the output is still there")
	}
}

// TestAQuietJobIsLookedAtOnTheBox counts: each command as root has sudo check a
// password there.
func TestAQuietJobIsLookedAtOnTheBox(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{SudoPassword: "pw"})
	c := box.Connect(t)
	const quiet = 40
	looked := func() int { return len(box.Ran("systemctl show")) }
	ended := make(chan error, 1)
	go func() { ended <- c.Job(t.Context(), job("0"), nil) }()
	for tick := time.Tick(5 * time.Millisecond); looked() < quiet; {
		select {
		case err := <-ended:
			t.Fatalf("it ended early: %v", err)
		case <-tick:
		}
	}
	box.WriteFile("/tmp/go", "", 0o644)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if trips, shows := c.Stats().RoundTrips, looked(); shows < quiet || 2*trips > shows {
		t.Errorf("%d commands over the link for %d looks", trips, shows)
	}
}

func TestAFailedJobGivesItsStatusAndItsLastLinesAndMayBeTriedAgain(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	box.WriteFile("/tmp/go", "", 0o644)
	err := c.Job(t.Context(), job("9"), nil)
	var ce *host.CommandError
	if !errors.As(err, &ce) || ce.Exit != 9 || fault.EvidenceOf(err) != "one\ntwo" {
		t.Fatalf("got %v, evidence %q", err, fault.EvidenceOf(err))
	}
	if err := c.Job(t.Context(), job("0"), nil); err != nil {
		t.Errorf("the second try: %v", err)
	}
}

func TestAJobOutlivesItsClientAndIsFoundAgain(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	first := box.Connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := first.Job(ctx, job("0"), func(string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	_ = first.Close()
	pid := box.Systemd.Unit("ssg-bootstrap-long").PID
	if pid == 0 {
		t.Fatal("the job died with its client")
	}
	var lines []string
	err = box.Connect(t).Job(t.Context(), job("0"), func(line string) {
		lines = append(lines, line)
		box.WriteFile("/tmp/go", "", 0o644)
	})
	if err != nil || !slices.Equal(lines, []string{"one", "two"}) {
		t.Errorf("got %q, %v", lines, err)
	}
	if began := strings.Count(box.ReadFile("/tmp/began"), "\n"); began != 1 {
		t.Errorf("the work was begun %d times", began)
	}
}

func TestAResultThatNobodyReadIsRead(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	first := box.Connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	_ = first.Job(ctx, job("0"), func(string) { cancel() })
	box.WriteFile("/tmp/go", "", 0o644)
	if err := box.Connect(t).Job(t.Context(), job("0"), nil); err != nil {
		t.Fatal(err)
	}
	if began := strings.Count(box.ReadFile("/tmp/began"), "\n"); began != 1 {
		t.Errorf("the work was begun %d times", began)
	}
}

func TestAJobCutAtEachCommandRunsOnce(t *testing.T) {
	for n := 1; n <= 5; n++ {
		box := hosttest.New(t, hosttest.Config{})
		box.WriteFile("/tmp/go", "", 0o644)
		c := box.Connect(t)
		box.Link.CutAtExec(n)
		if err := c.Job(t.Context(), job("0"), nil); err != nil {
			t.Fatalf("cut at command %d: %v", n, err)
		}
		if began := strings.Count(box.ReadFile("/tmp/began"), "\n"); began != 1 {
			t.Errorf("cut at command %d: the work was begun %d times", n, began)
		}
	}
}

func TestAPowerCutBeginsTheJobAgain(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	cut := false
	err := c.Job(t.Context(), job("0"), func(string) {
		if !cut {
			cut = true
			box.PowerCut()
		}
	})
	if fault.CodeOf(err) != fault.CommandFailed {
		t.Fatalf("got %v, want the unit's disappearance", err)
	}
	box.WriteFile("/tmp/go", "", 0o644)
	if err := c.Job(t.Context(), job("0"), nil); err != nil {
		t.Fatal(err)
	}
}

func TestASilentJobStallsTheWaitAndGoesOn(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	c := box.Connect(t)
	// It has said its word before the silence is timed, however long it took to
	// begin.
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.Job(ctx, job("0"), func(string) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	j := job("0")
	j.Stall = 300 * time.Millisecond
	err := c.Job(t.Context(), j, nil)
	if fault.CodeOf(err) != fault.WaitStalled || fault.EvidenceOf(err) != "one" {
		t.Fatalf("got %v, evidence %q", err, fault.EvidenceOf(err))
	}
	if u := box.Systemd.Unit("ssg-bootstrap-long"); u.Sub != "running" {
		t.Errorf("the unit is %s", u.Sub)
	}
}
