package images_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images/imagestest"
)

// TestARealContainerdTakesWhatWeSend holds the model to its promise. It runs
// where SSG_CTR is a ctr with the address of a containerd, as in
//
//	SSG_CTR="/usr/bin/ctr -a /run/containerd-test.sock" go test -run RealContainerd ./bootstrap/images
func TestARealContainerdTakesWhatWeSend(t *testing.T) {
	words := strings.Fields(os.Getenv("SSG_CTR"))
	if len(words) == 0 {
		t.Skip("SSG_CTR is not set")
	}
	b := newBench(t)
	ctr := func(args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), words[0], append(words[1:], args...)...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			return out.String() + errs.String(), 1
		}
		return out.String(), 0
	}
	b.box.Command("ctr", func(c *hosttest.Call) int {
		args := c.Args[1:]
		if last := len(args) - 1; strings.HasPrefix(args[last], "/") {
			args[last] = b.box.Path(args[last])
		}
		out, status := ctr(args...)
		c.Printf("%s", out)
		return status
	})
	forget := func(names ...string) {
		for _, n := range names {
			ctr("-n", "k8s.io", "images", "rm", "--sync", n)
		}
	}
	const old = "ghcr.io/owner/app:old"
	forget(old, appName)
	t.Cleanup(func() { forget(old, appName) })

	b.registry.Push(t, "owner/app:old", b.image(base, imagestest.Files{"app/server": "old"}))
	b.mustInstall(b.set(old))
	img := b.image(base, imagestest.Files{"app/server": "new"})
	b.registry.Push(t, "owner/app:latest", img)
	if moved := b.moved(func() { b.mustInstall(b.set(appName)) }); moved > 50_000 {
		t.Errorf("%d bytes were sent, though all but a small layer is there", moved)
	}
	b.converged(appName, img)
	if p := b.mustPlan(b.set(appName)); !p.Empty() {
		t.Errorf("the second plan is %+v", p)
	}

	// The garbage collector takes the shared layer between question and import.
	next := b.image(base, imagestest.Files{"app/server": "newer"})
	b.registry.Push(t, "owner/app:latest", next)
	set := b.set(appName)
	b.mustPlan(set)
	raced := false
	k3s := func(c *hosttest.Call) int {
		if c.Has("import") && !raced {
			raced = true
			forget(old, appName)
		}
		return c.Exec(c.Args[1:])
	}
	b.box.Command("k3s", k3s)
	b.mustInstall(set)
	b.converged(appName, next)
	if !raced || !b.said("a layer was removed on the box meanwhile") {
		t.Errorf("raced %v, said %q", raced, b.notes)
	}
}
