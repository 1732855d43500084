package bench

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ktesting "k8s.io/client-go/testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func rowsOf(rows []Row) map[Metric]Row {
	out := map[Metric]Row{}
	for _, r := range rows {
		out[r.Metric] = r
	}
	return out
}

// TestEveryBootIsTimedAloneAndNothingIsLeft walks the whole measurement.
func TestEveryBootIsTimedAloneAndNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newToy(t)
		rows, timeline, warnings, err := y.bencher(Options{}).Boots(t.Context())
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%v, %v", err, warnings)
		}
		got := rowsOf(rows)
		for _, c := range components() {
			want := map[Metric]time.Duration{c.first: y.first[c.name], c.later: y.later[c.name]}
			if c.inStep != "" {
				want[c.inStep] = y.first[c.name] + 7*time.Second
			}
			if c.first == "" {
				// Without a volume the one that makes it is a boot like others, and
				// the toy's is the longer one.
				want = map[Metric]time.Duration{c.later: y.later[c.name]}
			}
			for m, d := range want {
				r := got[m]
				runs := (Options{}).runs(m)
				if m == AppFirst {
					runs = 1 // the tables are only made once
				}
				if len(r.Samples) != runs || math.Abs(r.Median-d.Seconds()) > 0.001 || r.Failure != nil {
					t.Errorf("%s: %d runs, median %v, want %d of %s (%v)", m, len(r.Samples), r.Median, runs, d, r.Failure)
				}
			}
		}
		if r := got[RabbitMQFirst]; r.Samples[0].Kubelet == nil || *r.Samples[0].Kubelet != 30 || r.Samples[0].Probe != 10 || r.Samples[0].Error != 0.2 {
			t.Errorf("Kubernetes' word is missing: %+v", r.Samples[0])
		}
		if cold := got[ColdDeploy]; !cold.Measured() || cold.Median < 70 || cold.Median > 95 {
			t.Errorf("the cold deploy took %v", cold.Median)
		}
		if timeline == nil || len(timeline.Spans) < 12 || timeline.Seconds != got[ColdDeploy].Median {
			t.Errorf("timeline: %+v", timeline)
		}
		y.untouched()
	})
}

func TestOneThatDoesNotComeUpTakesOnlyThoseThatNeedIt(t *testing.T) {
	for ails, says := range map[string]string{
		"image": "the box lacks image-of-mysql-primary", "silent": "did not serve within 5m0s", "crash": "ended 3 times and never served",
	} {
		t.Run(ails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				y := newToy(t)
				y.ails["mysql-primary"] = ails
				rows, _, _, err := y.bencher(Options{}).Boots(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got := rowsOf(rows)
				if f := got[PrimaryFirst].Failure; f == nil || !strings.Contains(f.Text, says) {
					t.Errorf("the primary's row says %+v", f)
				}
				if f := got[AppBoot].Failure; f == nil || !strings.Contains(f.Text, "needs mysql-primary") {
					t.Errorf("the application's row says %+v", f)
				}
				for _, m := range []Metric{RabbitMQFirst, RabbitMQLater, RedisFirst, WorkerBoot} {
					if !got[m].Measured() || got[m].Failure != nil {
						t.Errorf("%s was not measured: %+v", m, got[m].Failure)
					}
				}
				if got[ColdDeploy].Measured() || got[ColdDeploy].Failure == nil {
					t.Errorf("a cold deploy without the primary: %+v", got[ColdDeploy])
				}
				y.untouched()
			})
		})
	}
}

// TestHoweverItEndsTheNamespaceGoes ends the measurement at each moment in
// turn, in each way.
func TestHoweverItEndsTheNamespaceGoes(t *testing.T) {
	lost := fault.New(fault.LinkLost, "", "the link is gone")
	for name, end := range map[string]func(cancel func()) error{
		"Ctrl-C":          func(cancel func()) error { cancel(); return nil },
		"the box reboots": func(func()) error { return ErrRebooted },
		"the link is cut": func(func()) error { return lost },
	} {
		t.Run(name, func(t *testing.T) {
			for after := 1; after < 40; after += 7 {
				synctest.Test(t, func(t *testing.T) {
					y := newToy(t)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					n := 0
					y.sees = func(Sighting) error {
						if n++; n == after {
							return end(cancel)
						}
						return nil
					}
					rows, _, _, err := y.bencher(Options{}).Boots(ctx)
					if err == nil {
						t.Fatalf("after %d sightings: no error", after)
					}
					if name == "the box reboots" && fault.CodeOf(err) != fault.BenchInterrupted {
						t.Errorf("after %d sightings: %v", after, err)
					}
					for _, r := range rows {
						if !r.Measured() && r.Failure == nil {
							t.Errorf("after %d sightings %s is empty and does not say why", after, r.Metric)
						}
					}
					y.untouched()
				})
			}
		})
	}
}

// TestOutOfReachItIsLeftToTheNextRun cuts the link for good: the client has
// looked for the box by then, and does not do so again for each thing to tidy.
func TestOutOfReachItIsLeftToTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newToy(t)
		lost := fault.New(fault.LinkLost, "", "the link is gone")
		y.sees = func(Sighting) error {
			y.unreachable = context.DeadlineExceeded
			return lost
		}
		_, _, _, err := y.bencher(Options{}).Boots(t.Context())
		if fault.CodeOf(err) != fault.LinkLost || !strings.Contains(err.Error(), "left to the next run") {
			t.Errorf("got %v", err)
		}
		if left, err := FindLeftover(t.Context(), y.bencher(Options{}).Cluster); left == nil || err != nil || !y.marked {
			t.Errorf("it was not left, or not marked: %+v, %v, %t", left, err, y.marked)
		}
	})
}

// TestAnAPIThatStartsIsWaitedFor restarts the box: its API first answers
// nothing and then that it cannot answer.
func TestAnAPIThatStartsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newToy(t)
		refusals := []error{
			errors.New("connection refused"), apierrors.NewServiceUnavailable("etcd is not ready"),
			apierrors.NewInternalError(errors.New("starting")), apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, Namespace, nil),
		}
		rebooted := false
		y.client.PrependReactor("get", "namespaces", func(ktesting.Action) (bool, runtime.Object, error) {
			if !rebooted || len(refusals) == 0 {
				return false, nil, nil
			}
			err := refusals[0]
			refusals = refusals[1:]
			return true, nil, err
		})
		y.sees = func(Sighting) error {
			rebooted = true
			return ErrRebooted
		}
		if _, _, _, err := y.bencher(Options{}).Boots(t.Context()); fault.CodeOf(err) != fault.BenchInterrupted || len(refusals) > 0 {
			t.Errorf("%v; %d refusals were not met", err, len(refusals))
		}
		y.untouched()
	})
}

// TestAContainerThatFellOverBetweenTwoBootsIsNoBoot starts it again by itself
// before its pod is ended for the next run.
func TestAContainerThatFellOverBetweenTwoBootsIsNoBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newToy(t)
		y.ails["redis"] = "relapse"
		b := y.bencher(Options{Wants: func(m Metric) bool { return m == RedisLater }})
		b.Note = func(string) { <-time.After(10 * time.Second) } // until it has happened
		rows, _, _, err := b.Boots(t.Context())
		if err != nil || len(rows) != 1 {
			t.Fatalf("%v, %+v", err, rows)
		}
		for i, v := range rows[0].Values() {
			if v != y.later["redis"].Seconds() {
				t.Errorf("boot %d took %v, want %s", i, v, y.later["redis"])
			}
		}
	})
}

// TestNothingIsBootedForOneThatCannotCome leaves the databases out, which only
// the application needs, when Redis is missing.
func TestNothingIsBootedForOneThatCannotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newToy(t)
		y.ails["redis"] = "image"
		b := y.bencher(Options{Wants: func(m Metric) bool { return m == RedisFirst || m == AppBoot }})
		rows, _, _, err := b.Boots(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f := rowsOf(rows)[AppBoot].Failure; f == nil || !strings.Contains(f.Text, "needs redis") {
			t.Errorf("the application's row says %+v", f)
		}
		for _, a := range y.client.Actions() {
			if create, ok := a.(ktesting.CreateAction); ok && strings.HasPrefix(create.GetObject().(metav1.Object).GetName(), "mysql") && a.GetResource().Resource == "statefulsets" {
				t.Errorf("%s was started for nothing", create.GetObject().(metav1.Object).GetName())
			}
		}
		y.untouched()
	})
}

// TestWhatAKilledRunLeftIsRemovedByTheNext leaves the namespace as a client
// does that is killed, with the release stopped.
func TestWhatAKilledRunLeftIsRemovedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newToy(t)
		b := y.bencher(Options{})
		s, err := newScratch(b.Cluster, b.Want, "", "a killed run", time.Now(), b.Note)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range s.objects.present() {
			if err := s.begin(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		left, err := FindLeftover(t.Context(), b.Cluster)
		if err != nil || left == nil || left.Holder != "a killed run" {
			t.Fatalf("%+v, %v", left, err)
		}
		if err := Clean(t.Context(), b.Cluster, time.Minute, b.Note); err != nil {
			t.Fatal(err)
		}
		y.untouched()
		if left, err := FindLeftover(t.Context(), b.Cluster); left != nil || err != nil {
			t.Errorf("%+v, %v", left, err)
		}
	})
}

func TestANamespaceThatIsNotOursIsNeverRemoved(t *testing.T) {
	y := newToy(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, Labels: map[string]string{"team": "other"}}}
	if _, err := y.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := y.bencher(Options{}).Boots(t.Context())
	if fault.CodeOf(err) != fault.ForeignConfig || fault.NextOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := y.client.CoreV1().Namespaces().Get(t.Context(), Namespace, metav1.GetOptions{}); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

func TestWithoutRoomEveryRowSaysWhatIsMissingAndWhatHelps(t *testing.T) {
	y := newToy(t)
	node, err := y.client.CoreV1().Nodes().Get(t.Context(), "oldpc", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Status.Allocatable[corev1.ResourceMemory] = resource.MustParse("300Mi")
	if _, err := y.client.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	rows, _, _, err := y.bencher(Options{}).Boots(t.Context())
	if err != nil || len(rows) < 10 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		if r.Failure == nil || !strings.Contains(r.Failure.Text, "memory") || !strings.Contains(r.Failure.Text, "--stop-release") {
			t.Errorf("%s says %+v", r.Metric, r.Failure)
		}
	}
	y.untouched()
}

func TestAClockThatIsSetChangesNoFigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newToy(t)
		n := 0
		y.sees = func(Sighting) error {
			if n++; n == 3 {
				y.offset = 86400
			}
			return nil
		}
		rows, timeline, warnings, err := y.bencher(Options{}).Boots(t.Context())
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "clock was moved by +86400 s") {
			t.Fatalf("%v, %v", warnings, err)
		}
		got := rowsOf(rows)
		if r := got[PrimaryFirst]; r.Median != y.first["mysql-primary"].Seconds() || r.Samples[0].Kubelet != nil {
			t.Errorf("%+v", r)
		}
		if timeline.Seconds > 200 || got[ColdDeploy].Median > 200 {
			t.Errorf("the cold deploy took %v", got[ColdDeploy].Median)
		}
	})
}

func TestFurtherBootsOfTheReleaseAreAskedForAndOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newToy(t)
		b := y.bencher(Options{Restart: true, Runs: 1, Wants: func(m Metric) bool { return m == RedisLater || m == AppBoot }})
		rows, _, _, err := b.Boots(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := rowsOf(rows)
		for _, m := range []Metric{RedisLater, AppBoot} {
			if r := got[m]; len(r.Samples) != 1 || r.Method != MethodRelease {
				t.Errorf("%s: %+v", m, r)
			}
		}
		deleted := 0
		for _, a := range y.client.Actions() {
			if a.GetVerb() == "delete" && a.GetResource().Resource == "pods" && a.GetNamespace() == releaseNamespace {
				deleted++
			}
			if a.GetVerb() == "create" {
				t.Errorf("%s was made", a.GetResource().Resource)
			}
		}
		if deleted != 2 {
			t.Errorf("%d pods were restarted, want 2", deleted)
		}
	})
}

func TestAStoppedReleaseIsStartedAgainAlsoByTheNextRun(t *testing.T) {
	y := newToy(t)
	b := y.bencher(Options{})
	two := int32(2)
	of := map[string]string{instanceLabel: "ssg"}
	y.client.ReactionChain = y.client.ReactionChain[len(y.client.ReactionChain)-2:] // no pods are made
	if err := y.client.Tracker().Add(deploymentOf("ssg-studentsystemgo", of, two)); err != nil {
		t.Fatal(err)
	}
	c := &cluster.Cluster{Client: y.client, Namespace: releaseNamespace}
	s := &scratch{cluster: in(c, Namespace), holder: "x", want: b.Want}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, Labels: map[string]string{scratchLabel: scratchValue}}}
	if _, err := s.cluster.Client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the wait for the pods to go is where this run breaks off
	_, err := stop(ctx, c, releaseNamespace, "ssg", time.Minute)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if n := replicasOf(t, y); n != 0 {
		t.Fatalf("%d pods are wanted, want 0", n)
	}
	left, err := FindLeftover(t.Context(), c)
	if err != nil || left == nil || left.Stopped == nil {
		t.Fatalf("%+v, %v", left, err)
	}
	if err := left.Stopped.start(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if n := replicasOf(t, y); n != two {
		t.Errorf("%d pods are wanted, want %d", n, two)
	}
}

func TestAFullDiskAndMemoryAreSeenBeforehand(t *testing.T) {
	for what, free := range map[string]Free{
		"disk (3 GB free of 27 GB)":       {Disk: 3e9, DiskSize: 500e9, Memory: 3e9},
		"free memory (95 MiB of 696 MiB)": {Disk: 300e9, DiskSize: 500e9, Memory: 95 << 20},
	} {
		y := newToy(t)
		b := y.bencher(Options{Wants: func(m Metric) bool { return m == RedisFirst }})
		b.Free = free
		rows, _, _, err := b.Boots(t.Context())
		if err != nil || len(rows) != 1 || rows[0].Failure == nil || !strings.Contains(rows[0].Failure.Text, what) {
			t.Errorf("%s: %v, %+v", what, err, rows)
			if len(rows) == 1 {
				t.Errorf("%+v", rows[0].Failure)
			}
		}
		y.untouched()
	}
}
