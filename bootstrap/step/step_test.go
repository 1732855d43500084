package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// memBox is a box whose whole state is a set of names.
type memBox struct {
	mu    sync.Mutex
	state map[string]string
	trips int
}

func newMemBox() *memBox { return &memBox{state: map[string]string{}} }

func (b *memBox) get(key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state[key]
}

func (b *memBox) set(key, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state[key] = value
}

func (b *memBox) QueryMany(_ context.Context, cs []host.Command) ([]host.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trips++
	out := make([]host.Answer, len(cs))
	for i, c := range cs {
		out[i].Out = []byte(b.state[c.Argv[0]])
	}
	return out, nil
}

func (b *memBox) Query(ctx context.Context, c host.Command) ([]byte, error) {
	as, err := b.QueryMany(ctx, []host.Command{c})
	return as[0].Out, err
}

func (b *memBox) Run(context.Context, host.Command) ([]byte, error) { panic("unused") }
func (b *memBox) Put(_ context.Context, files ...host.File) error {
	for _, f := range files {
		b.set(f.Path, string(f.Content))
	}
	return nil
}
func (b *memBox) Send(context.Context, host.Blob, host.Progress) (host.Sent, error) { panic("unused") }
func (b *memBox) Job(context.Context, host.Job, func(string)) error                 { panic("unused") }
func (b *memBox) Dial(context.Context, string, string) (net.Conn, error)            { panic("unused") }

// thing wants one key of the box to have one value.
type thing struct {
	id    ID
	needs []ID
	lane  Lane
	want  string
	// after defers the plan until this step's key is set.
	after ID
	apply func(context.Context, Run) error
	bytes int64
	verb  Verb // Update if there is none
}

func (t *thing) ID() ID        { return t.id }
func (t *thing) Title() string { return "the " + string(t.id) }
func (t *thing) Needs() []ID   { return t.needs }
func (t *thing) Lane() Lane    { return t.lane }

func (t *thing) Plan(ctx context.Context, r host.Reader) ([]Change, error) {
	if _, isHost := r.(host.Host); isHost {
		return nil, errors.New("the planner got a Host")
	}
	if t.after != "" {
		if got, err := r.Query(ctx, host.Command{Argv: []string{string(t.after)}}); err != nil || len(got) == 0 {
			return nil, errors.Join(ErrDeferred, err)
		}
	}
	got, err := r.Query(ctx, host.Command{Argv: []string{string(t.id)}})
	if err != nil {
		return nil, err
	}
	if string(got) == t.want {
		return nil, nil
	}
	return []Change{{Verb: cmp.Or(t.verb, Update), Object: string(t.id), Why: fmt.Sprintf("%q → %q", got, t.want), Bytes: t.bytes}}, nil
}

func (t *thing) Apply(ctx context.Context, run Run, _ []Change) error {
	if t.apply != nil {
		if err := t.apply(ctx, run); err != nil {
			return err
		}
	}
	return run.Host.Put(ctx, host.File{Path: string(t.id), Content: []byte(t.want)})
}

func planAndConverge(t *testing.T, box *memBox, o Options, steps ...Step) (Result, []Event, error) {
	t.Helper()
	plan, err := MakePlan(t.Context(), steps, box)
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	res, err := Converge(t.Context(), steps, box, plan, o, func(e Event) { events = append(events, e) })
	return res, events, err
}

func TestConvergeThenNothingIsLeft(t *testing.T) {
	box := newMemBox()
	steps := []Step{
		&thing{id: "server", want: "up", needs: []ID{"binary", "config"}, after: "binary"},
		&thing{id: "binary", want: "v1", lane: LaneLink},
		&thing{id: "config", want: "c"},
		&thing{id: "images", want: "i", lane: LaneLink},
	}
	res, _, err := planAndConverge(t, box, Options{}, steps...)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Changed) != 4 {
		t.Errorf("changed %v, want all four", res.Changed)
	}
	box.trips = 0
	plan, err := MakePlan(t.Context(), steps, box)
	if err != nil || !plan.Empty() {
		t.Fatalf("plan after converge: %+v, %v", plan, err)
	}
	if box.trips != 2 {
		t.Errorf("planning took %d round trips, want 2: the longest chain", box.trips)
	}
	res, events, err := planAndConverge(t, box, Options{}, steps...)
	if err != nil || len(res.Changed) != 0 {
		t.Errorf("second run: %+v, %v", res, err)
	}
	for _, e := range events {
		if e.Kind == StepDone {
			t.Errorf("second run did %+v", e)
		}
	}
}

func TestWhatRemainsAfterApplyIsAnError(t *testing.T) {
	box := newMemBox()
	stubborn := &thing{id: "a", want: "x"}
	steps := []Step{&overwritten{stubborn, box}}
	_, _, err := planAndConverge(t, box, Options{}, steps...)
	if fault.CodeOf(err) != fault.NotConverged || !strings.Contains(fault.EvidenceOf(err), `update a ("y" → "x")`) {
		t.Errorf("got %v, evidence %q", err, fault.EvidenceOf(err))
	}
}

// overwritten is a step whose work somebody else undoes at once.
type overwritten struct {
	*thing
	box *memBox
}

func (o *overwritten) Apply(ctx context.Context, run Run, cs []Change) error {
	err := o.thing.Apply(ctx, run, cs)
	o.box.set(string(o.id), "y")
	return err
}

func TestLostConnectionContinuesWhileBytesMove(t *testing.T) {
	box := newMemBox()
	sent := int64(0)
	lossy := &thing{id: "upload", want: "x", lane: LaneLink, apply: func(_ context.Context, run Run) error {
		if sent++; sent <= 20 {
			run.Progress(sent, 20)
			return fault.New(fault.LinkLost, "", "cut")
		}
		return nil
	}}
	res, events, err := planAndConverge(t, box, Options{Attempts: 2}, lossy)
	if err != nil || len(res.Changed) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	retries := 0
	for _, e := range events {
		if e.Kind == StepRetry {
			retries++
		}
	}
	if retries != 20 {
		t.Errorf("%d retries were told, want 20", retries)
	}
}

func TestLostConnectionWithoutProgressGivesUp(t *testing.T) {
	calls := 0
	dead := &thing{id: "upload", want: "x", apply: func(context.Context, Run) error {
		calls++
		return fault.New(fault.LinkLost, "", "cut")
	}}
	_, _, err := planAndConverge(t, newMemBox(), Options{Attempts: 3}, dead)
	if fault.CodeOf(err) != fault.LinkLost || calls != 3 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

func TestAFailureStopsTheOthersAndStartsNothingNew(t *testing.T) {
	box := newMemBox()
	started := make(chan struct{})
	steps := []Step{
		&thing{id: "bad", want: "x", apply: func(context.Context, Run) error {
			<-started
			return errors.New("no space left")
		}},
		&thing{id: "long", want: "x", apply: func(ctx context.Context, _ Run) error {
			close(started)
			<-ctx.Done()
			return context.Cause(ctx)
		}},
		&thing{id: "later", want: "x", needs: []ID{"long"}},
	}
	_, _, err := planAndConverge(t, box, Options{}, steps...)
	if err == nil || err.Error() != "the bad: no space left" {
		t.Errorf("got %v", err)
	}
	if box.get("later") != "" {
		t.Error("a step was started after the failure")
	}
}

func TestForeignObjectsAreRefusedUntilAdopted(t *testing.T) {
	box := newMemBox()
	s := &foreign{&thing{id: "config", want: "ours"}}
	other := &thing{id: "other", want: "x"}
	_, _, err := planAndConverge(t, box, Options{}, s, other)
	if fault.CodeOf(err) != fault.ForeignConfig || box.get("other") != "" {
		t.Errorf("got %v, other %q: nothing may change before the refusal", err, box.get("other"))
	}
	if _, _, err = planAndConverge(t, box, Options{Adopt: true}, s, other); err != nil || box.get("config") != "ours" {
		t.Errorf("adopt: %v", err)
	}
}

type foreign struct{ *thing }

func (f *foreign) Plan(ctx context.Context, r host.Reader) ([]Change, error) {
	cs, err := f.thing.Plan(ctx, r)
	for i := range cs {
		cs[i].Foreign = true
	}
	return cs, err
}

func TestTheLinkIsOneLaneOrderedByTheCriticalPath(t *testing.T) {
	synctest.Test(t, theLinkIsOneLane)
}

func theLinkIsOneLane(t *testing.T) {
	var mu sync.Mutex
	var order []ID
	busy := 0
	link := func(id ID, bytes int64, needs ...ID) *thing {
		return &thing{id: id, want: "x", lane: LaneLink, bytes: bytes, needs: needs, apply: func(context.Context, Run) error {
			mu.Lock()
			busy++
			if busy > 1 {
				t.Error("two transfers at once")
			}
			order = append(order, id)
			mu.Unlock()
			time.Sleep(time.Second) // virtual: any other transfer would start meanwhile, were it allowed
			mu.Lock()
			busy--
			mu.Unlock()
			return nil
		}}
	}
	steps := []Step{
		link("a-runner", 200e6), link("b-images", 90e6), link("k3s", 80e6),
		&thing{id: "server", want: "x", needs: []ID{"k3s"}},
		link("z-app", 150e6, "server"),
	}
	if _, _, err := planAndConverge(t, newMemBox(), Options{Rate: 250e3}, steps...); err != nil {
		t.Fatal(err)
	}
	if order[0] != "k3s" {
		t.Errorf("order %v: k3s is on the longest way (80 + 150 MB) and goes first", order)
	}
}

func TestABusyBoxIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := newMemBox()
		// What the rights are looked at falls silent when they are given.
		silent := func(seconds time.Duration) *thing {
			return &thing{id: "rights", want: "given", needs: []ID{"api"}, after: "api", apply: func(context.Context, Run) error {
				box.set("api", "")
				time.AfterFunc(seconds*time.Second, func() { box.set("api", "up") })
				return nil
			}}
		}
		api := &thing{id: "api", want: "up"}
		_, events, err := planAndConverge(t, box, Options{}, api, silent(100))
		if err != nil {
			t.Fatalf("a box that was silent for 100 s: %v", err)
		}
		if !slices.ContainsFunc(events, func(e Event) bool { return e.Kind == StepNote && e.Step == "rights" }) {
			t.Error("nobody was told why it takes so long")
		}
		box.set("rights", "")
		begin := time.Now()
		_, _, err = planAndConverge(t, box, Options{Patience: time.Minute}, api, silent(3600))
		if !errors.Is(err, ErrDeferred) || time.Since(begin) < time.Minute || time.Since(begin) > 2*time.Minute {
			t.Errorf("a box that stays silent: %v after %s", err, time.Since(begin))
		}
		// A step whose need was left out has nothing to wait for.
		begin = time.Now()
		only, err := Select([]Step{api, silent(1)}, []ID{"rights"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = planAndConverge(t, newMemBox(), Options{}, only...); fault.CodeOf(err) != fault.StepDeferred || time.Since(begin) > 0 {
			t.Errorf("a need that was left out: %v after %s", err, time.Since(begin))
		}
	})
}

// flapping is seen by its own wait and not by the look after it, so many times.
type flapping struct {
	thing
	times int
}

func (f *flapping) Apply(ctx context.Context, run Run, changes []Change) error {
	time.Sleep(20 * time.Second)
	if f.times--; f.times >= 0 {
		return nil
	}
	return f.thing.Apply(ctx, run, changes)
}

func TestWhatIsGoneAgainIsWaitedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := func(verb Verb, times int) *flapping {
			return &flapping{thing{id: "node", want: "Ready", verb: verb}, times}
		}
		_, events, err := planAndConverge(t, newMemBox(), Options{}, node(Wait, 3))
		if err != nil {
			t.Errorf("gone three times: %v", err)
		}
		if !slices.ContainsFunc(events, func(e Event) bool { return strings.Contains(e.Text, "gone again") }) {
			t.Error("nobody was told why it takes so long")
		}
		begin := time.Now()
		_, _, err = planAndConverge(t, newMemBox(), Options{Patience: time.Minute}, node(Wait, 1000))
		if took := time.Since(begin); fault.CodeOf(err) != fault.NotConverged || took < time.Minute || took > 2*time.Minute {
			t.Errorf("gone for good: %v after %s", err, took)
		}
		// What was changed and is not as it should be is no matter of time.
		begin = time.Now()
		_, _, err = planAndConverge(t, newMemBox(), Options{}, node(Update, 1))
		if fault.CodeOf(err) != fault.NotConverged || time.Since(begin) > 20*time.Second {
			t.Errorf("a change without effect: %v after %s", err, time.Since(begin))
		}
	})
}

func TestSortIsDeterministicAndNamesCycles(t *testing.T) {
	steps := []Step{
		&thing{id: "a"}, &thing{id: "b", needs: []ID{"d"}}, &thing{id: "c", needs: []ID{"a", "b"}}, &thing{id: "d"},
	}
	for range 20 {
		rand.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		order, err := Sort(steps)
		if err != nil {
			t.Fatal(err)
		}
		var ids []ID
		for _, s := range order {
			ids = append(ids, s.ID())
		}
		if !slices.Equal(ids, []ID{"a", "d", "b", "c"}) {
			t.Fatalf("order %v", ids)
		}
	}
	_, err := Sort([]Step{&thing{id: "a", needs: []ID{"b"}}, &thing{id: "b", needs: []ID{"a"}}})
	if err == nil || err.Error() != "steps need each other: [a b a]" {
		t.Errorf("got %v", err)
	}
	if _, err = Sort([]Step{&thing{id: "a", needs: []ID{"x"}}}); err == nil {
		t.Error("a need that does not exist was accepted")
	}
}

func TestSelectTakesLeftOutStepsAsGiven(t *testing.T) {
	steps := []Step{&thing{id: "a"}, &thing{id: "b", needs: []ID{"a"}}, &thing{id: "c", needs: []ID{"b"}}}
	got, err := Select(steps, nil, []ID{"a"})
	if err != nil || len(got) != 2 || len(got[0].Needs()) != 0 || len(got[1].Needs()) != 1 {
		t.Errorf("skip: %v, %v", got, err)
	}
	got, err = Select(steps, []ID{"c"}, nil)
	if err != nil || len(got) != 1 || len(got[0].Needs()) != 0 {
		t.Errorf("only: %v, %v", got, err)
	}
	if _, err = Select(steps, []ID{"d"}, nil); err == nil || !strings.Contains(err.Error(), "[a b c]") {
		t.Errorf("unknown step: %v", err)
	}
}

func TestCancelEndsTheRunAsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &thing{id: "a", want: "x", apply: func(ctx context.Context, _ Run) error {
		cancel()
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	box := newMemBox()
	plan, err := MakePlan(ctx, []Step{s}, box)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Converge(ctx, []Step{s}, box, plan, Options{}, nil)
	if fault.ExitOf(err) != fault.ExitInterrupted {
		t.Errorf("exit %d for %v", fault.ExitOf(err), err)
	}
}

func TestEstimateAddsTransfersAndWork(t *testing.T) {
	p := Plan{Steps: []Planned{
		{Changes: []Change{{Bytes: 80e6}, {Work: time.Minute}}},
		{Changes: []Change{{Bytes: 20e6}}},
	}}
	if got, want := p.Estimate(250e3), 400*time.Second+time.Minute; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if p.Bytes() != 100e6 {
		t.Errorf("bytes %d", p.Bytes())
	}
}
