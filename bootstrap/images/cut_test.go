package images_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images/imagestest"
)

// TestACutBeforeAnyCommandIsNoFailure cuts the link before the first command,
// before the second and so on, until a run has no more commands to cut.
func TestACutBeforeAnyCommandIsNoFailure(t *testing.T) {
	b := newBench(t)
	for n := 1; ; n++ {
		img := b.image(base, imagestest.Files{"app/server": fmt.Sprint(n)})
		b.registry.Push(t, "owner/app:latest", img)
		set := b.set(appName)
		p := b.mustPlan(set)
		if p.Empty() {
			t.Fatal("there is nothing to do")
		}
		connections := b.box.Link.Accepted()
		b.box.Link.CutAtExec(n)
		b.mustInstall(set)
		b.box.Link.CutAtExec(1 << 30)
		b.converged(appName, img)
		if b.box.Link.Accepted() == connections {
			t.Logf("a run has %d commands", n-1)
			if n < 6 {
				t.Errorf("cut only %d times", n-1)
			}
			return
		}
	}
}

func TestAPowerCutDuringTheImportIsContinued(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	set := b.set(appName)
	b.mustPlan(set)
	cut := make(chan struct{})
	b.containerd.BeforeImport(func(powered context.Context) {
		go func() {
			defer close(cut)
			b.box.PowerCut()
		}()
		<-powered.Done()
	})
	err := b.install(t.Context(), set)
	<-cut
	if err == nil {
		t.Fatal("the run did not notice the power cut")
	}
	b.containerd.Start()
	b.client = b.box.Connect(t)
	moved := b.moved(func() { b.mustInstall(b.set(appName)) })
	b.converged(appName, img)
	if moved > 50_000 {
		t.Errorf("%d bytes were sent again after the power cut", moved)
	}
}
