package images_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images/imagestest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// bench is a box with containerd, a registry, and this computer's cache.
type bench struct {
	*testing.T
	box        *hosttest.Box
	containerd *imagestest.Containerd
	registry   imagestest.Registry
	cache      string
	client     *host.Client

	mu    sync.Mutex
	notes []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, box: hosttest.New(t, hosttest.Config{}), registry: imagestest.Serve(), cache: t.TempDir()}
	t.Cleanup(b.registry.Close)
	b.containerd = imagestest.On(b.box)
	b.containerd.Start()
	b.box.Command("k3s", func(c *hosttest.Call) int { return c.Exec(c.Args[1:]) })
	b.free(1 << 40)
	b.client = b.box.Connect(t)
	return b
}

// free says how much room the box's disk has.
func (b *bench) free(bytes int64) {
	b.box.Command("df", func(c *hosttest.Call) int { c.Printf("Avail\n%d\n", bytes); return 0 })
}

func (b *bench) options(refs ...string) images.Options {
	return images.Options{Refs: refs, CacheDir: b.cache, CPULevel: 1, Mirrors: map[string]string{"*": b.registry.URL}}
}

func (b *bench) set(refs ...string) *images.Set {
	b.Helper()
	s, err := images.New(b.options(refs...))
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (b *bench) image(layers ...imagestest.Files) v1.Image {
	b.Helper()
	img, err := imagestest.Image(layers...)
	if err != nil {
		b.Fatal(err)
	}
	return img
}

func (b *bench) plan(s *images.Set) (step.Plan, error) {
	return step.MakePlan(b.Context(), []step.Step{s.Step()}, b.client)
}

func (b *bench) mustPlan(s *images.Set) step.Plan {
	b.Helper()
	p, err := b.plan(s)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// install plans and converges, as the program does.
func (b *bench) install(ctx context.Context, s *images.Set) error {
	p, err := b.plan(s)
	if err != nil {
		return err
	}
	_, err = step.Converge(ctx, []step.Step{s.Step()}, b.client, p, step.Options{}, func(e step.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.notes = append(b.notes, e.Text)
	})
	return err
}

func (b *bench) mustInstall(s *images.Set) {
	b.Helper()
	if err := b.install(b.Context(), s); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) said(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(strings.Join(b.notes, "\n"), text)
}

// moved is how many bytes a piece of work sends to the box.
func (b *bench) moved(work func()) int64 {
	before := b.box.Link.In()
	work()
	return b.box.Link.In() - before
}

// converged demands that an image is there as it should be, and nothing else
// lies about.
func (b *bench) converged(name string, img v1.Image) {
	b.Helper()
	held, up, err := images.List(b.Context(), b.client)
	if err != nil || !up {
		b.Fatalf("list: up %v, %v", up, err)
	}
	want, err := img.Digest()
	if err != nil {
		b.Fatal(err)
	}
	found := false
	for _, h := range held {
		if h.Name == name {
			found = true
			if h.Digest != want.String() || !h.Complete || !h.Unpacked || !h.Pinned {
				b.Errorf("%s is %+v, want %s", name, h, want)
			}
		}
	}
	if !found {
		b.Errorf("%s is not there: %+v", name, held)
	}
	b.empty(b.box.Path("/var/lib/ssg-bootstrap/images"))
	b.empty(filepath.Join(b.cache, "parcels"))
}

// kept is how many bytes of blobs are on this computer.
func (b *bench) kept() (n int64) {
	b.Helper()
	entries, err := os.ReadDir(filepath.Join(b.cache, "blobs"))
	for _, e := range entries {
		info, infoErr := e.Info()
		if err = errors.Join(err, infoErr); err == nil {
			n += info.Size()
		}
	}
	if err != nil {
		b.Error(err)
	}
	return n
}

func (b *bench) empty(dir string) {
	b.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		b.Errorf("%s holds %v, %v", dir, entries, err)
	}
}

func size(t testing.TB, img v1.Image, layer int) int64 {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return m.Layers[layer].Size
}
