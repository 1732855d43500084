package k3s_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s/k3stest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/system"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// bench is a fresh machine, a release and a spec for it.
type bench struct {
	t       *testing.T
	machine *k3stest.Machine
	store   k3s.Store
	spec    spec.Spec
	events  []step.Event
	// more, if not nil, makes other steps than those of k3s alone.
	more func(facts.Facts) []step.Step
}

func newBench(t *testing.T) *bench {
	t.Helper()
	p, err := profiles.Load("core2duo-4gb")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{
		t:       t,
		machine: k3stest.Debian(hosttest.New(t, hosttest.Config{})),
		store:   k3stest.NewRelease(t, p.K3s.Version),
		spec:    spec.Spec{HostName: "oldpc", NodeName: "oldpc", Profile: p, TLSSANs: []string{"192.168.1.20"}},
	}
}

// box is a client as the steps see it.
type box struct{ *host.Client }

func (b box) Job(context.Context, host.Job, func(string)) error      { panic("not used") }
func (b box) Dial(context.Context, string, string) (net.Conn, error) { panic("not used") }

func (b *bench) steps(f facts.Facts) []step.Step {
	if b.more != nil {
		return b.more(f)
	}
	return slices.Concat(
		system.Steps(system.Input{Spec: b.spec, Facts: f}),
		k3s.Steps(k3s.Input{Spec: b.spec, Facts: f, Store: b.store}),
	)
}

// planned connects and plans, as every command does first.
func (b *bench) planned(ctx context.Context) (*host.Client, []step.Step, step.Plan, error) {
	c, err := host.Connect(ctx, b.machine.Target(), b.machine.Options())
	if err != nil {
		return nil, nil, step.Plan{}, err
	}
	b.t.Cleanup(func() { _ = c.Close() })
	f, err := facts.Gather(ctx, c)
	if err != nil {
		return c, nil, step.Plan{}, err
	}
	steps := b.steps(f)
	plan, err := step.MakePlan(ctx, steps, c)
	return c, steps, plan, err
}

// hung is how long no install on a machine of this computer takes. The limits of
// its waits are an old PC's, which outlast the tests.
const hung = 4 * time.Minute

// run plans and converges, as install does.
func (b *bench) run(ctx context.Context, o step.Options) (step.Plan, error) {
	ctx, cancel := context.WithTimeout(ctx, hung)
	defer cancel()
	defer func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			b.t.Errorf("the run hung; its events:\n%+v\nwhat ran on the box:\n%s", b.events[max(0, len(b.events)-20):], b.machine.Log()[max(0, len(b.machine.Log())-20):])
		}
	}()
	c, steps, plan, err := b.planned(ctx)
	if c != nil {
		defer c.Close()
	}
	if err != nil {
		return plan, err
	}
	_, err = step.Converge(ctx, steps, box{c}, plan, o, func(e step.Event) { b.events = append(b.events, e) })
	return plan, err
}

func (b *bench) install() step.Plan {
	b.t.Helper()
	plan, err := b.run(b.t.Context(), step.Options{})
	if err != nil {
		b.t.Fatalf("install: %v\n%s", err, evidence(err))
	}
	return plan
}

func (b *bench) plan() step.Plan {
	b.t.Helper()
	c, _, plan, err := b.planned(b.t.Context())
	if err != nil {
		b.t.Fatalf("plan: %v\n%s", err, evidence(err))
	}
	_ = c.Close()
	return plan
}

// describe lists a plan's changes, one a line.
func describe(p step.Plan) string {
	var out strings.Builder
	for _, s := range p.Steps {
		for _, c := range s.Changes {
			out.WriteString(string(s.Step) + ": " + string(c.Verb) + " " + c.Object + " (" + c.Why + ")\n")
		}
	}
	return out.String()
}

func TestPlanChangesNothingAndInstallLeavesNothingToDo(t *testing.T) {
	b := newBench(t)
	before := b.machine.Files()
	first := b.plan()
	if after := b.machine.Files(); !slices.Equal(before, after) {
		t.Errorf("plan changed the box:\n%s", difference(before, after))
	}
	if first.Empty() {
		t.Fatal("the plan for a fresh box is empty")
	}
	b.install()
	if left := b.plan(); !left.Empty() {
		t.Errorf("after install the plan is not empty:\n%s", describe(left))
	}
	pid, files := b.machine.Systemd.Unit("k3s").PID, b.machine.Files()
	if second := b.install(); !second.Empty() {
		t.Errorf("the second install has changes:\n%s", describe(second))
	}
	if now := b.machine.Systemd.Unit("k3s").PID; now != pid || pid == 0 {
		t.Errorf("k3s's PID was %d and is %d", pid, now)
	}
	if after := b.machine.Files(); !slices.Equal(files, after) {
		t.Errorf("the second install changed the box:\n%s", difference(files, after))
	}
}

// evidence is what the box said, for the reader of a failed test.
func evidence(err error) string {
	var failed *host.CommandError
	if errors.As(err, &failed) {
		return failed.Stderr
	}
	return fault.EvidenceOf(err)
}

// difference lists the lines that are in only one of two lists.
func difference(a, b []string) string {
	var out strings.Builder
	for _, line := range a {
		if !slices.Contains(b, line) {
			out.WriteString("- " + line + "\n")
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out.WriteString("+ " + line + "\n")
		}
	}
	return out.String()
}
