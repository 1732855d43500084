package images_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images/imagestest"
)

// refused demands an error with a code, and that it says and advises what a
// person needs.
func refused(t *testing.T, err error, code fault.Code, says, next string) {
	t.Helper()
	text := ""
	if err != nil {
		text = err.Error() + "\n" + fault.EvidenceOf(err)
	}
	if fault.CodeOf(err) != code || !strings.Contains(text, says) || !strings.Contains(fault.NextOf(err), next) {
		t.Errorf("got %s: %s\nnext: %s\nwant %s: …%s…\nnext: …%s…", fault.CodeOf(err), text, fault.NextOf(err), code, says, next)
	}
}

var ubi = imagestest.Files{"etc/os-release": "ID=\"rhel\"\nVERSION_ID=\"9.6\"\nPRETTY_NAME=\"Red Hat Enterprise Linux 9.6 (Plow)\"\n"}

func TestWhatTheProcessorCannotRunIsRefusedBeforeAByteIsSent(t *testing.T) {
	b := newBench(t)
	b.registry.Push(t, "library/mariadb:11-ubi9", b.image(ubi, imagestest.Files{"usr/sbin/mariadbd": imagestest.Noise(4, 1<<20)}))
	b.registry.Push(t, "owner/app:latest", b.image(base))
	var err error
	moved := b.moved(func() { err = b.install(t.Context(), b.set(appName, "mariadb:11-ubi9")) })
	refused(t, err, fault.ImageUnsuitable, "Red Hat Enterprise Linux 9.6 (Plow) is built for x86-64-v2", "use mariadb:11,")
	refused(t, err, fault.ImageUnsuitable, "docker.io/library/mariadb:11-ubi9 would not run", "nothing was sent")
	if moved > 20_000 || len(b.containerd.Blobs()) > 0 {
		t.Errorf("%d bytes were sent, the box has %q", moved, b.containerd.Blobs())
	}

	// The scan is remembered by the layers' digests: now a plan alone, which
	// fetches nothing, refuses it too. A newer box may have the image.
	_, err = b.plan(b.set("mariadb:11-ubi9"))
	refused(t, err, fault.ImageUnsuitable, "would not run on it", "use mariadb:11,")
	o := b.options("mariadb:11-ubi9")
	o.CPULevel = 2
	set, err := images.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.mustInstall(set)
}

func TestWhatTheRegistryRefusesIsExplained(t *testing.T) {
	b := newBench(t)
	b.registry.Push(t, "owner/app:latest", b.image(base))
	_, err := b.plan(b.set("ghcr.io/owner/app:lates", "ghcr.io/owner/ap:latest", appName))
	refused(t, err, fault.ImageUnknown, "find ghcr.io/owner/app:lates: 127.0.0.1", "check the image's name and tag")
	if !strings.Contains(err.Error(), "find ghcr.io/owner/ap:latest") {
		t.Errorf("not all unknown images are named: %v", err)
	}
	_, err = b.plan(b.set("ghcr.io/owner/app@sha256:" + strings.Repeat("0", 64)))
	refused(t, err, fault.ImageUnknown, "no such image", "check the digest")

	private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer private.Close()
	_, err = b.plan(b.from(private.URL, appName))
	refused(t, err, fault.RegistryRefused, "does not let us read it, or there is no such image", "docker login")

	private.Close()
	_, err = b.plan(b.from(private.URL, appName))
	refused(t, err, fault.FetchFailed, "connection refused", "--from oci:FOLDER")
}

// from is a set whose images come from another registry.
func (b *bench) from(mirror string, refs ...string) *images.Set {
	b.Helper()
	o := b.options(refs...)
	o.Mirrors = map[string]string{"ghcr.io": mirror}
	s, err := images.New(o)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func TestWhatIsNotWhatItsDigestSaysIsThrownAway(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	at, err := url.Parse(b.registry.URL)
	if err != nil {
		t.Fatal(err)
	}
	layer := size(t, img, 0)
	honest := httputil.NewSingleHostReverseProxy(at)
	tampered := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && !strings.Contains(r.URL.Path, configOf(t, img)) {
			_, _ = w.Write([]byte(imagestest.Noise(9, int(layer))))
			return
		}
		honest.ServeHTTP(w, r)
	}))
	defer tampered.Close()
	err = b.from(tampered.URL, appName).Prepare(t.Context(), b.client, nil)
	refused(t, err, fault.DigestMismatch, "what came is not what its digest says", "try another")
	b.mustInstall(b.set(appName))
	b.converged(appName, img)
}

func TestADiskWithoutRoomIsNotFilled(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	b.free(8 << 20)
	var err error
	moved := b.moved(func() { err = b.install(t.Context(), b.set(appName)) })
	refused(t, err, fault.DiskFull, "9 MiB are needed in /var/lib/rancher/k3s", "free 2 MiB on the file system of /var/lib/rancher/k3s")
	if moved > 50_000 {
		t.Errorf("%d bytes were sent", moved)
	}
}

func TestADiskThatFillsDuringTheImportIsExplainedAndNothingSentTwice(t *testing.T) {
	b := newBench(t)
	img := b.image(base)
	b.registry.Push(t, "owner/app:latest", img)
	b.containerd.Room(1 << 20)
	err := b.install(t.Context(), b.set(appName))
	refused(t, err, fault.DiskFull, "no space left on device", "what arrived is not sent again")

	b.containerd.Room(1 << 40)
	moved := b.moved(func() { b.mustInstall(b.set(appName)) })
	b.converged(appName, img)
	if moved > 50_000 {
		t.Errorf("%d bytes were sent again", moved)
	}
}

func TestMistakesInOptionsAreReportedTogether(t *testing.T) {
	for name, c := range map[string]struct {
		o          images.Options
		says, next string
	}{
		"references": {images.Options{Refs: []string{"UPPER:1", "ok:1", "a b"}}, `"a b" is no image`, "write images as a pod does"},
		"nothing":    {images.Options{}, "which images?", "--image"},
		"source":     {images.Options{From: "ftp:there"}, `"ftp:there"`, "--from oci:FOLDER"},
		"no folder":  {images.Options{From: "oci:/nowhere"}, "open OCI layout /nowhere", "index.json"},
		"no archive": {images.Options{From: "docker-archive:/nowhere"}, "open docker archive /nowhere", "docker save"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.CacheDir = t.TempDir()
			_, err := images.New(c.o)
			refused(t, err, fault.Usage, c.says, c.next)
		})
	}
}
