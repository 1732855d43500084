package k3s_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/system"
)

// named is a step that gives the box a further name, as joining a tailnet does.
type named struct{ step.Step }

const namePath = "/etc/further-name"

func (named) ID() step.ID      { return "named" }
func (named) Title() string    { return "Name" }
func (named) Needs() []step.ID { return nil }
func (named) Lane() step.Lane  { return step.LaneBox }

func (named) Plan(ctx context.Context, r host.Reader) ([]step.Change, error) {
	out, err := r.Query(ctx, furtherNames{}.Query())
	if err != nil || len(out) > 0 {
		return nil, err
	}
	return []step.Change{{Verb: step.Create, Object: namePath}}, nil
}

func (named) Apply(ctx context.Context, r step.Run, _ []step.Change) error {
	return r.Host.Put(ctx, host.File{Path: namePath, Mode: 0o644, Content: []byte("oldpc.tail1234.ts.net 100.64.0.1\n")})
}

type furtherNames struct{}

func (furtherNames) After() step.ID { return "named" }
func (furtherNames) Sends() step.ID { return "named" }
func (furtherNames) Query() host.Command {
	return host.Command{Argv: []string{"sh", "-c", "[ -r " + namePath + " ] && cat " + namePath + "\n:\n", "sh"}}
}

func (furtherNames) Read(answer []byte) ([]string, error) {
	if strings.Contains(string(answer), "away") {
		return nil, step.ErrDeferred
	}
	return strings.Fields(string(answer)), nil
}

// withNames makes the bench's box one that gets a further name.
func (b *bench) withNames() {
	b.more = func(f facts.Facts) []step.Step {
		return slices.Concat(
			[]step.Step{named{}},
			system.Steps(system.Input{Spec: b.spec, Facts: f}),
			k3s.Steps(k3s.Input{Spec: b.spec, Facts: f, Store: b.store, Names: furtherNames{}}),
		)
	}
}

func (b *bench) sans() string {
	_, after, _ := strings.Cut(b.machine.ReadFile("/etc/rancher/k3s/config.yaml"), "tls-san:\n")
	return strings.Join(strings.Fields(strings.ReplaceAll(after, "- ", "")), " ")
}

func TestAFreshK3sStartsOnceWithTheFurtherNames(t *testing.T) {
	b := newBench(t)
	b.withNames()
	b.install()
	if got := b.sans(); !strings.HasPrefix(got, "100.64.0.1 192.168.1.20 oldpc.tail1234.ts.net") {
		t.Errorf("the certificate's names are %s", got)
	}
	if n := b.machine.Systemd.Unit("k3s").Starts; n != 1 {
		t.Errorf("k3s was started %d times", n)
	}
	if left := b.plan(); !left.Empty() {
		t.Errorf("something is left to do:\n%s", describe(left))
	}
}

func TestAFurtherNameRestartsAK3sThatServesOnce(t *testing.T) {
	b := newBench(t)
	b.install()
	b.withNames()
	if _, starts := b.again(); starts != 1 || !strings.Contains(b.sans(), "oldpc.tail1234.ts.net") {
		t.Errorf("k3s was started %d times; names %s", starts, b.sans())
	}
}

func TestNamesThatCannotBeKnownTakeNoneAway(t *testing.T) {
	b := newBench(t)
	b.withNames()
	b.install()
	names := b.sans()
	b.machine.WriteFile(namePath, "away", 0o644)
	for _, id := range []step.ID{k3s.ConfigID, k3s.ServerID} {
		if p, _ := b.plan().Of(id); !p.Deferred {
			t.Errorf("%s is planned as %+v", id, p)
		}
	}
	if b.sans() != names {
		t.Errorf("the names are %s", b.sans())
	}
}
