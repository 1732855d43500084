package images_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images/imagestest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

var base = imagestest.Files{
	"etc/os-release": "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Debian GNU/Linux 13\"\n",
	"usr/lib/base":   imagestest.Noise(1, 3<<20),
}

const (
	appName = "ghcr.io/owner/app:latest"
	dbName  = "docker.io/library/mariadb:11"
)

func TestImagesArriveOnceAndASecondRunSendsNextToNothing(t *testing.T) {
	b := newBench(t)
	app, db := b.image(base, imagestest.Files{"app/server": "v1"}), b.image(base, imagestest.Files{"usr/sbin/mariadbd": "11"})
	b.registry.Push(t, "owner/app:latest", app)
	b.registry.Push(t, "library/mariadb:11", db)

	p := b.mustPlan(b.set(appName, "mariadb:11", "docker.io/mariadb:11"))
	changes := p.Steps[0].Changes
	if len(changes) != 2 || changes[1].Object != dbName || changes[1].Bytes > 20_000 {
		t.Errorf("a shared layer is not counted once: %+v", changes)
	}
	moved := b.moved(func() { b.mustInstall(b.set(appName, "mariadb:11")) })
	b.converged(appName, app)
	b.converged(dbName, db)
	if layer := size(t, app, 0); moved < layer || moved > layer*105/100 {
		t.Errorf("%d bytes were sent for a shared layer of %d", moved, layer)
	}

	imports := b.containerd.Imports()
	again := b.moved(func() {
		if p := b.mustPlan(b.set(appName, "mariadb:11")); !p.Empty() {
			t.Errorf("the second plan is %+v", p)
		}
	})
	if again > 10_000 || b.containerd.Imports() != imports {
		t.Errorf("the second run sent %d bytes and imported %d times", again, b.containerd.Imports()-imports)
	}
}

func TestOfAChangedLastLayerLittleMoreThanTheLayerIsSent(t *testing.T) {
	b := newBench(t)
	b.registry.Push(t, "owner/app:latest", b.image(base, imagestest.Files{"app/server": imagestest.Noise(2, 1<<20)}))
	b.mustInstall(b.set(appName))

	next := b.image(base, imagestest.Files{"app/server": imagestest.Noise(3, 1<<20)})
	b.registry.Push(t, "owner/app:latest", next)
	moved := b.moved(func() { b.mustInstall(b.set(appName)) })
	b.converged(appName, next)
	layer := size(t, next, 1)
	t.Logf("%d bytes for a layer of %d", moved, layer)
	if moved > layer*105/100+50_000 {
		t.Errorf("%d bytes were sent for a layer of %d", moved, layer)
	}
}

func TestACutInTheMiddleOfAnImageIsContinued(t *testing.T) {
	b := newBench(t)
	// Large enough for the box to have begun writing long before the cut.
	img := b.image(imagestest.Files{"usr/lib/base": imagestest.Noise(4, 12<<20)})
	b.registry.Push(t, "owner/app:latest", img)
	set := b.set(appName)
	b.mustPlan(set)
	b.box.Link.CutAfterIn(8 << 20)
	moved := b.moved(func() { b.mustInstall(set) })
	b.converged(appName, img)
	if b.box.Link.Accepted() < 2 {
		t.Error("the link was not cut")
	}
	if layer := size(t, img, 0); moved > layer*105/100 {
		t.Errorf("%d bytes were sent for a layer of %d", moved, layer)
	}
}

func TestAKilledClientIsContinuedByTheNext(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	ctx, stop := context.WithCancel(t.Context())
	b.box.Link.OnCut(stop)
	b.box.Link.CutAfterIn(2 << 20)
	first := b.moved(func() {
		if err := b.install(ctx, b.set(appName)); !errors.Is(err, context.Canceled) {
			t.Fatalf("the run ended with %v", err)
		}
	})
	b.box.Link.OnCut(nil)
	b.client = b.box.Connect(t)
	second := b.moved(func() { b.mustInstall(b.set(appName)) })
	b.converged(appName, img)
	if layer := size(t, img, 0); first+second > layer*105/100 {
		t.Errorf("%d and %d bytes were sent for a layer of %d", first, second, layer)
	}
}

func TestALayerCollectedOnTheWayIsSentAfterAll(t *testing.T) {
	b := newBench(t)
	b.registry.Push(t, "owner/app:old", b.image(base, imagestest.Files{"app/server": "old"}))
	b.mustInstall(b.set("ghcr.io/owner/app:old"))
	img := b.image(base, imagestest.Files{"app/server": "new"})
	b.registry.Push(t, "owner/app:latest", img)

	b.containerd.BeforeImport(func(context.Context) { b.containerd.Remove("ghcr.io/owner/app:old") })
	b.mustInstall(b.set(appName))
	b.converged(appName, img)
	if !b.said("a layer was removed on the box meanwhile") {
		t.Errorf("nothing is said of it: %q", b.notes)
	}
}

func TestABoxWhoseK3sDoesNotRunYetIsPlannedLater(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	if err := os.Remove(b.box.Path("/run/k3s/containerd/containerd.sock")); err != nil {
		t.Fatal(err)
	}
	set := b.set(appName)
	if p := b.mustPlan(set); !p.Steps[0].Deferred {
		t.Errorf("the plan is %+v", p)
	}
	b.containerd.Start()
	b.mustInstall(set)
	b.converged(appName, img)
}

func TestPlanningChangesNothingOnTheBox(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	before := strings.Join(b.box.Files(), "\n")
	b.mustPlan(b.set(appName))
	if kept := b.kept(); kept > size(t, img, 0)/10 {
		t.Errorf("planning fetched %d bytes", kept)
	}
	if after := strings.Join(b.box.Files(), "\n"); after != before || len(b.containerd.Blobs()) > 0 {
		t.Errorf("the box changed from\n%s\nto\n%s", before, after)
	}
}

func TestOfAnIndexTheBoxGetsItsOwnImageUnderTheSameName(t *testing.T) {
	b := newBench(t)
	mine, other := b.image(base), b.image(imagestest.Files{"arm": "64"})
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64", Variant: "v3"}}},
		mutate.IndexAddendum{Add: mine, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
	)
	b.registry.Push(t, "owner/app:latest", index)
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	pinned := "ghcr.io/owner/app@" + digest.String()
	b.mustInstall(b.set(appName, "ghcr.io/owner/app:latest@"+digest.String()))
	b.converged(appName, mine)
	b.converged(pinned, mine)
	m, err := other.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if blobs := strings.Join(b.containerd.Blobs(), " "); strings.Contains(blobs, m.Layers[0].Digest.String()) {
		t.Errorf("what is for other processors was sent: %s", blobs)
	}
}

func TestAnUnpinnedImageIsPinnedWithoutSendingIt(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	b.mustInstall(b.set(appName))
	b.containerd.Unlabel(appName)
	p := b.mustPlan(b.set(appName))
	if c := p.Steps[0].Changes; len(c) != 1 || c[0].Verb != step.Update || p.Bytes() != 0 {
		t.Errorf("the plan is %+v", c)
	}
	b.mustInstall(b.set(appName))
	b.converged(appName, img)
	if b.containerd.Imports() != 1 {
		t.Errorf("imported %d times", b.containerd.Imports())
	}
}

func TestOtherTagsOfARepositoryMayBeCollectedWhereThatIsWanted(t *testing.T) {
	b := newBench(t)
	const older = "ghcr.io/owner/app:sha-1"
	b.registry.Push(t, "owner/app:sha-1", b.image(base, imagestest.Files{"app/server": "1"}))
	b.registry.Push(t, "library/mariadb:11", b.image(base))
	img := b.image(base, imagestest.Files{"app/server": "2"})
	b.registry.Push(t, "owner/app:latest", img)
	b.mustInstall(b.set(older, "mariadb:11", appName))
	if p := b.mustPlan(b.set(appName)); !p.Empty() {
		t.Errorf("unasked, the plan is %+v", p)
	}

	o := b.options(appName)
	o.Retire = true
	set, err := images.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if c := b.mustPlan(set).Steps[0].Changes; len(c) != 1 || c[0].Verb != step.Update || c[0].Object != older {
		t.Errorf("the plan is %+v", c)
	}
	b.mustInstall(set)
	b.converged(appName, img)
	held, _, err := images.List(t.Context(), b.client)
	for _, h := range held {
		if h.Pinned == (h.Name == older) {
			t.Errorf("%s: pinned %v", h.Name, h.Pinned)
		}
	}
	if err != nil || len(held) != 3 {
		t.Errorf("the box has %+v, %v", held, err)
	}
}

func TestWhatABrokenRunLeftIsTakenAway(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	const left = "/var/lib/ssg-bootstrap/images/0123456789abcdef-0123456789abcdef.tar"
	b.box.WriteFile(left, "half", 0o600)
	b.mustInstall(b.set(appName))
	b.converged(appName, img)

	b.box.WriteFile(left, "half", 0o600)
	p := b.mustPlan(b.set(appName))
	if c := p.Steps[0].Changes; len(c) != 1 || c[0].Verb != step.Remove || c[0].Object != left {
		t.Errorf("the plan is %+v", c)
	}
	b.mustInstall(b.set(appName))
	b.converged(appName, img)
}

func TestPrepareTellsHowFarItIs(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	var last, all int64
	set := b.set(appName)
	err := set.Prepare(t.Context(), b.client, func(image string, done, total int64) {
		if image != appName || done < last {
			t.Errorf("%s: %d after %d", image, done, last)
		}
		last, all = done, total
	})
	if want := size(t, img, 0); err != nil || last != want || all != want {
		t.Errorf("%d of %d, want %d; %v", last, all, want, err)
	}
	// What is known now is not asked for again: the registry may be gone.
	b.registry.Close()
	b.mustInstall(set)
	b.converged(appName, img)
}

func TestTheBoxIsAskedInOneRoundTrip(t *testing.T) {
	b := newBench(t)
	b.registry.Push(t, "owner/app:latest", b.image(base))
	b.mustInstall(b.set(appName))
	set := b.set(appName)
	before, asked := b.client.Stats().RoundTrips, len(b.box.Ran("ctr"))
	if p := b.mustPlan(set); !p.Empty() {
		t.Errorf("the plan is %+v", p)
	}
	if n := b.client.Stats().RoundTrips - before; n != 1 {
		t.Errorf("%d round trips", n)
	}
	// Each start of k3s's program takes an old CPU most of a second.
	if n := len(b.box.Ran("ctr")) - asked; n != 1 {
		t.Errorf("the box was asked %d times: %q", n, b.box.Ran("ctr")[asked:])
	}
}
