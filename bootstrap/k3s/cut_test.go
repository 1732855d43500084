package k3s_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s/k3stest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// settled lists the box's files as they should be alike after every way to get
// there. Records hold times and inodes, which differ by nature.
func settled(m *k3stest.Machine) []string {
	var out []string
	for _, line := range m.Files() {
		path, _, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(path, "/run/"), strings.HasPrefix(path, "/var/lib/ssg-bootstrap/uploads"):
		case strings.Contains(path, "/.ssg-bootstrap."):
			// A writer that was killed leaves its temporary file behind.
		case strings.HasSuffix(path, ".record"):
			out = append(out, path)
		default:
			out = append(out, line)
		}
	}
	out = append(out, m.Sysctls()...)
	return append(out, "firewall: "+m.Table())
}

// uncut installs without any trouble and says how that looks: the commands
// that ran, the bytes that came back, and the box.
func uncut(t *testing.T) (commands int, bytes int64, want []string) {
	t.Helper()
	b := newBench(t)
	execs, out := b.machine.Link.Execs(), b.machine.Link.Out()
	b.install()
	return b.machine.Link.Execs() - execs, b.machine.Link.Out() - out, settled(b.machine)
}

// mustConverge holds what a run after a trouble owes.
func (b *bench) mustConverge(want []string) {
	b.t.Helper()
	b.install()
	if left := b.plan(); !left.Empty() {
		b.t.Errorf("the next run left something to do:\n%s", describe(left))
	}
	if got := settled(b.machine); !slices.Equal(got, want) {
		b.t.Errorf("the box differs from one that was never cut:\n%s", difference(want, got))
	}
	if starts := b.machine.Systemd.Unit("k3s").Starts; starts != 1 {
		b.t.Errorf("k3s was started %d times", starts)
	}
}

// killed runs an install whose client dies when the link is cut.
func (b *bench) killed(cut func()) error {
	ctx, kill := context.WithCancel(b.t.Context())
	defer kill()
	b.machine.Link.OnCut(kill)
	cut()
	_, err := b.run(ctx, step.Options{})
	b.machine.Link.OnCut(nil)
	return err
}

func TestClientKilledAtEveryCommandTheNextRunConverges(t *testing.T) {
	commands, _, want := uncut(t)
	if commands < 20 {
		t.Fatalf("an install has %d commands; the test would prove little", commands)
	}
	for n := 1; n <= commands; n++ {
		t.Run(fmt.Sprintf("command %d of %d", n, commands), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if err := b.killed(func() { b.machine.Link.CutAtExec(n) }); err == nil {
				t.Error("the run whose client was killed reports success")
			}
			b.mustConverge(want)
		})
	}
}

// Between a command's end and its answer, the client cannot know whether it
// ran.
func TestClientKilledBetweenAnswersTheNextRunConverges(t *testing.T) {
	_, bytes, want := uncut(t)
	const cuts = 20
	for n := range int64(cuts) {
		t.Run(fmt.Sprintf("after %d of %d bytes", n*bytes/cuts, bytes), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if err := b.killed(func() { b.machine.Link.CutAfterOut(n*bytes/cuts + 1) }); err == nil {
				t.Error("the run whose client was killed reports success")
			}
			b.mustConverge(want)
		})
	}
}

func TestConnectionCutAtEveryCommandTheSameRunConverges(t *testing.T) {
	commands, _, want := uncut(t)
	for n := 1; n <= commands; n++ {
		t.Run(fmt.Sprintf("command %d of %d", n, commands), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.machine.Link.CutAtExec(n)
			b.mustConverge(want)
		})
	}
}

// A power cut ends what runs on the box too, and its clients with it.
func TestPowerCutAtCommandsTheNextRunConverges(t *testing.T) {
	commands, _, want := uncut(t)
	for n := 1; n <= commands; n += 4 {
		t.Run(fmt.Sprintf("command %d of %d", n, commands), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if err := b.killed(func() { b.machine.Link.CutAtExec(n) }); err == nil {
				t.Error("the run that lost the box reports success")
			}
			b.machine.PowerCut()
			b.install()
			if left := b.plan(); !left.Empty() {
				t.Errorf("the next run left something to do:\n%s", describe(left))
			}
			if got := settled(b.machine); !slices.Equal(got, want) {
				t.Errorf("the box differs from one that was never cut:\n%s", difference(want, got))
			}
		})
	}
}

// The wait for k3s is the longest part of an install, so it is where a client
// most likely dies.
func TestClientKilledWhileK3sStartsTheNextRunWaitsOn(t *testing.T) {
	b := newBench(t)
	b.machine.Probes = 3
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	c, steps, plan, err := b.planned(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = step.Converge(ctx, steps, box{c}, plan, step.Options{}, func(e step.Event) {
		if e.Step == "k3s-server" && e.Kind == step.StepNote {
			kill()
		}
	})
	if err == nil {
		t.Fatal("the run whose client was killed reports success")
	}
	if text := describe(b.plan()); !strings.Contains(text, "k3s-server: wait for node oldpc") || strings.Contains(text, "start") {
		t.Errorf("plan:\n%s", text)
	}
	b.install()
	if starts := b.machine.Systemd.Unit("k3s").Starts; starts != 1 {
		t.Errorf("k3s was started %d times", starts)
	}
}

func TestSecondRunMovesNextToNothing(t *testing.T) {
	b := newBench(t)
	b.install()
	in, out, execs := b.machine.Link.In(), b.machine.Link.Out(), b.machine.Link.Execs()
	b.install()
	moved := b.machine.Link.In() - in + b.machine.Link.Out() - out
	if moved > 60_000 {
		t.Errorf("the second run moved %d bytes", moved)
	}
	// Becoming root, looking, and one batch for all steps.
	if n := b.machine.Link.Execs() - execs; n > 4 {
		t.Errorf("the second run took %d commands", n)
	}
	t.Logf("%d bytes, %d commands", moved, b.machine.Link.Execs()-execs)
}
