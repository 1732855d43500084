package images

import (
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// registry is a source over the network.
type registry struct {
	puller  *remote.Puller
	mirrors map[string]string
}

func newRegistry(o Options) (source, error) {
	keys := o.Keychain
	if keys == nil {
		keys = authn.DefaultKeychain
	}
	options := []remote.Option{remote.WithAuthFromKeychain(keys), remote.WithUserAgent("ssg-bootstrap")}
	if o.HTTP != nil {
		options = append(options, remote.WithTransport(o.HTTP))
	}
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, fmt.Errorf("make a registry client: %w", err)
	}
	return registry{puller, o.Mirrors}, nil
}

func (registry) names() ([]reference, error) { return nil, nil }

// find asks for the headers alone: they say the digest, and whoever has the
// manifest of that digest need not fetch it again.
func (g registry) find(ctx context.Context, r reference) (v1.Descriptor, error) {
	at, err := located(r, g.mirrors)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if d, ok := at.(name.Digest); ok {
		h, err := v1.NewHash(d.DigestStr())
		return v1.Descriptor{Digest: h}, err
	}
	if d, err := g.puller.Head(ctx, at); err == nil {
		return *d, nil
	}
	// Some registries do not answer HEAD, and none says why it refused one.
	got, err := g.puller.Get(ctx, at)
	if err != nil {
		return v1.Descriptor{}, registryError(r, at, err)
	}
	return got.Descriptor, nil
}

func (g registry) open(ctx context.Context, r reference, d v1.Descriptor) (io.ReadCloser, error) {
	at, err := located(r, g.mirrors)
	if err != nil {
		return nil, err
	}
	exact := at.Context().Digest(d.Digest.String())
	if isManifest(d) {
		got, err := g.puller.Get(ctx, exact)
		if err != nil {
			return nil, registryError(r, exact, err)
		}
		return bytesReader(got.Manifest), nil
	}
	layer, err := g.puller.Layer(ctx, exact)
	if err != nil {
		return nil, registryError(r, exact, err)
	}
	body, err := layer.Compressed()
	if err != nil {
		return nil, registryError(r, exact, err)
	}
	return body, nil
}

// isManifest tells manifests, which registries serve apart, from blobs. Of a
// reference by digest nothing but the digest is known beforehand.
func isManifest(d v1.Descriptor) bool {
	return d.MediaType == "" || d.MediaType.IsImage() || d.MediaType.IsIndex() || d.MediaType == types.DockerManifestSchema1
}
