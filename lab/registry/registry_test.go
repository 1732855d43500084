package registry

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
)

const layerSize = 64 << 10

// shop is a folder with one image under two tags.
func shop(t *testing.T) (dir string, img v1.Image) {
	t.Helper()
	dir = t.TempDir()
	img, err := random.Image(layerSize, 2)
	if err != nil {
		t.Fatal(err)
	}
	err = image.WriteLayout(filepath.Join(dir, "app"), []image.Named{
		{Name: "ghcr.io/owner/app:latest", Image: img}, {Name: "ghcr.io/owner/app:sha-0000001", Image: img},
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, img
}

// serve listens and returns the reference of an image there.
func serve(t *testing.T, r *Registry, image string) name.Reference {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://")+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// once asks without the client's own retries, whose pauses a test need not sit through.
func once() []remote.Option {
	return []remote.Option{remote.WithRetryBackoff(remote.Backoff{Steps: 1, Duration: time.Nanosecond}), remote.WithRetryStatusCodes()}
}

func pull(ref name.Reference, options ...remote.Option) error {
	img, err := remote.Image(ref, append(once(), options...)...)
	if err != nil {
		return err
	}
	return validate.Image(img)
}

func TestClientPullsByTagAndDigest(t *testing.T) {
	dir, img := shop(t)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"owner/app", "owner/app:sha-0000001", "owner/app@" + digest.String()} {
		if err := pull(serve(t, New(dir), image)); err != nil {
			t.Errorf("pull %s: %v", image, err)
		}
	}
}

func TestWhatIsNotThereIsRefusedByCode(t *testing.T) {
	dir, _ := shop(t)
	for image, want := range map[string]transport.ErrorCode{
		"owner/app:sha-9999999":                       transport.ManifestUnknownErrorCode,
		"owner/app@sha256:" + strings.Repeat("0", 64): transport.ManifestUnknownErrorCode,
		"nobody/nothing":                              transport.NameUnknownErrorCode,
	} {
		err := pull(serve(t, New(dir), image))
		var refused *transport.Error
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound || len(refused.Errors) != 1 || refused.Errors[0].Code != want {
			t.Errorf("pull %s: %v, want %s", image, err, want)
		}
	}
}

func TestTagsAreListed(t *testing.T) {
	dir, _ := shop(t)
	ref := serve(t, New(dir), "owner/app")
	tags, err := remote.List(ref.Context())
	if err != nil || strings.Join(tags, " ") != "latest sha-0000001" {
		t.Errorf("tags = %q, %v", tags, err)
	}
}

func firstLayer(t *testing.T, img v1.Image) v1.Hash {
	t.Helper()
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Layers[0].Digest
}

func TestARangeOfABlob(t *testing.T) {
	dir, img := shop(t)
	r := New(dir)
	server := httptest.NewServer(r)
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v2/owner/app/blobs/"+firstLayer(t, img).String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Range", "bytes=100-199")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	part, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusPartialContent || len(part) != 100 {
		t.Errorf("%s with %d bytes, %v; want 206 with 100", answer.Status, len(part), err)
	}
}

func TestBytesAreCounted(t *testing.T) {
	dir, img := shop(t)
	r := New(dir)
	if err := pull(serve(t, r, "owner/app")); err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := img.Size()
	if err != nil {
		t.Fatal(err)
	}
	got := r.Stats()
	least := manifest.Config.Size + manifest.Layers[0].Size + manifest.Layers[1].Size
	if got.ManifestBytes < size || got.BlobBytes < least || got.Manifests == 0 || got.Blobs < 3 {
		t.Errorf("counted %+v, want at least %d bytes of manifest and %d of blobs", got, size, least)
	}
}

func TestFaults(t *testing.T) {
	dir, img := shop(t)
	layer := firstLayer(t, img).String()
	for what, fault := range map[string]Fault{
		"is down":           {Status: http.StatusServiceUnavailable},
		"wrong manifest":    {File: "owner/app:latest", Corrupt: 20},
		"wrong layer":       {File: layer, Corrupt: 1},
		"layer breaks off":  {File: layer, TruncateAt: 1000},
		"layer is withheld": {File: layer, Status: http.StatusNotFound},
	} {
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		ref := "owner/app:latest"
		if what == "wrong manifest" {
			// Asked for by tag, a client has nothing to compare it with.
			ref, fault.File = "owner/app@"+digest.String(), "owner/app@"+digest.String()
		}
		if err := pull(serve(t, New(dir, fault), ref)); err == nil {
			t.Errorf("a pull went through although the registry: %s", what)
		}
	}
	if err := pull(serve(t, New(dir, Fault{File: "no/such:image", Status: 500}), "owner/app")); err != nil {
		t.Errorf("another image's fault: %v", err)
	}
}

func TestAFaultThatPasses(t *testing.T) {
	dir, _ := shop(t)
	ref := serve(t, New(dir, Fault{File: "owner/app:latest", Status: http.StatusBadGateway, Times: 1}), "owner/app")
	if err := pull(ref); err == nil {
		t.Error("the first pull went through")
	}
	if err := pull(ref); err != nil {
		t.Errorf("the second pull: %v", err)
	}
}

func TestASlowLayerTakesItsTime(t *testing.T) {
	dir, img := shop(t)
	const rate = 4 * layerSize
	ref := serve(t, New(dir, Fault{File: firstLayer(t, img).String(), Rate: rate}), "owner/app")
	start := time.Now()
	if err := pull(ref); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("a layer of %d bytes at %d bytes a second took %s", layerSize, rate, took)
	}
}

func TestPrivateRepositoryWantsThePassword(t *testing.T) {
	dir, _ := shop(t)
	ref := serve(t, NewPrivate(dir, "owner", "secret"), "owner/app")
	if err := pull(ref, remote.WithAuth(&authn.Basic{Username: "owner", Password: "secret"})); err != nil {
		t.Errorf("with the password: %v", err)
	}
	for what, auth := range map[string]authn.Authenticator{"nobody": authn.Anonymous, "a wrong password": &authn.Basic{Username: "owner", Password: "guess"}} {
		var refused *transport.Error
		if err := pull(ref, remote.WithAuth(auth)); !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized {
			t.Errorf("as %s: %v, want 401", what, err)
		}
	}
}
