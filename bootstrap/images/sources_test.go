package images_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images/imagestest"
)

func configOf(t *testing.T, img v1.Image) string {
	t.Helper()
	h, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// taken brings images from a folder or an archive.
func (b *bench) taken(from string, refs ...string) *images.Set {
	b.Helper()
	s, err := images.New(images.Options{Refs: refs, From: from, CacheDir: b.cache, CPULevel: 1})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func TestAnOCILayoutIsASource(t *testing.T) {
	b := newBench(t)
	app, db := b.image(base), b.image(base, imagestest.Files{"db": "1"})
	dir := filepath.Join(t.TempDir(), "layout")
	folder, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for img, annotation := range map[v1.Image][2]string{
		app: {"org.opencontainers.image.ref.name", "ghcr.io/owner/app:latest"},
		db:  {"io.containerd.image.name", "docker.io/library/mariadb:11"},
	} {
		if err := folder.AppendImage(img, layout.WithAnnotations(map[string]string{annotation[0]: annotation[1]})); err != nil {
			t.Fatal(err)
		}
	}
	_, err = b.plan(b.taken("oci:"+dir, "redis:7"))
	refused(t, err, fault.ImageUnknown, "docker.io/library/mariadb:11\nghcr.io/owner/app:latest", "check the image's name")
	b.mustInstall(b.taken("oci:" + dir))
	b.converged(appName, app)
	b.converged(dbName, db)
}

func TestAnOCILayoutWithOneNamelessImageTakesAnyName(t *testing.T) {
	b := newBench(t)
	app := b.image(base)
	dir := filepath.Join(t.TempDir(), "layout")
	folder, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.AppendImage(app); err != nil {
		t.Fatal(err)
	}
	_, err = images.New(images.Options{From: "oci:" + dir, CacheDir: b.cache})
	refused(t, err, fault.Usage, "have no names", "--image")
	b.mustInstall(b.taken("oci:"+dir, appName))
	b.converged(appName, app)

	digest := configOf(t, app)
	if err := os.Remove(filepath.Join(dir, "blobs", "sha256", digest[len("sha256:"):])); err != nil {
		t.Fatal(err)
	}
	b.cache = t.TempDir()
	err = b.taken("oci:"+dir, appName).Prepare(t.Context(), b.client, nil)
	refused(t, err, fault.DigestMismatch, "no such file", "skopeo copy")
}

func TestADockerArchiveIsASourceAndItsSecondImportSendsNothing(t *testing.T) {
	b := newBench(t)
	app, db := b.image(base), b.image(base, imagestest.Files{"db": "1"})
	plain := filepath.Join(t.TempDir(), "images.tar")
	err := tarball.MultiWriteToFile(plain, map[name.Tag]v1.Image{
		tag(t, appName): app,
		tag(t, dbName):  db,
	})
	if err != nil {
		t.Fatal(err)
	}
	packed := plain + ".gz"
	compressFile(t, plain, packed)
	b.mustInstall(b.taken("docker-archive:"+packed, dbName))
	b.mustInstall(b.taken("docker-archive:" + plain))
	held, _, err := images.List(t.Context(), b.client)
	if err != nil || len(held) != 2 || !held[0].Unpacked || !held[1].Unpacked {
		t.Errorf("the box has %+v, %v", held, err)
	}
	imports := b.containerd.Imports()
	if p := b.mustPlan(b.taken("docker-archive:" + packed)); !p.Empty() || imports != 2 {
		t.Errorf("after %d imports the plan is %+v", imports, p)
	}
}

func tag(t *testing.T, text string) name.Tag {
	t.Helper()
	out, err := name.NewTag(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compressFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	z := gzip.NewWriter(out)
	if _, err := io.Copy(z, in); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}
