package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// image is a reference whose content is known.
type image struct {
	ref reference
	// asked is what the reference stands for at its source. It differs from
	// the manifest where that is one of an index, for several architectures.
	asked    v1.Hash
	manifest v1.Descriptor
	config   v1.Descriptor
	// layers are in the order in which they lie upon each other; the same one
	// may come twice.
	layers []v1.Descriptor
}

// blobs are what the box must have, each once, the small ones first.
func (i *image) blobs() []v1.Descriptor {
	out := []v1.Descriptor{i.manifest, i.config}
	for _, l := range i.layers {
		if !slices.ContainsFunc(out, func(d v1.Descriptor) bool { return d.Digest == l.Digest }) {
			out = append(out, l)
		}
	}
	return out
}

// Progress tells how many bytes of an image were fetched to this computer.
type Progress func(image string, done, total int64)

// resolve finds out what every reference means. All failures are reported.
func (s *Set) resolve(ctx context.Context, refs []reference) ([]*image, error) {
	var out []*image
	var errs []error
	for _, r := range refs {
		img, known := s.resolved[r.name]
		if !known {
			var err error
			if img, err = s.resolveOne(ctx, r); err != nil {
				errs = append(errs, err)
			} else {
				s.resolved[r.name] = img
			}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		out = append(out, img)
	}
	return out, together(errs)
}

func (s *Set) resolveOne(ctx context.Context, r reference) (*image, error) {
	d, err := s.source.find(ctx, r)
	if err != nil {
		return nil, err
	}
	img := &image{ref: r, asked: d.Digest}
	text, err := s.text(ctx, r, d)
	if err != nil {
		return nil, err
	}
	if isIndex(text) {
		if d, err = s.forBox(r, text); err != nil {
			return nil, err
		}
		if text, err = s.text(ctx, r, d); err != nil {
			return nil, err
		}
	}
	return img, s.fill(ctx, img, d, text)
}

// text is a manifest or a configuration.
func (s *Set) text(ctx context.Context, r reference, d v1.Descriptor) ([]byte, error) {
	if err := s.fetch(ctx, r, d, nil); err != nil {
		return nil, err
	}
	text, err := s.store.read(d.Digest)
	var wrong digestError
	if errors.As(err, &wrong) {
		if err := s.fetch(ctx, r, d, nil); err != nil {
			return nil, err
		}
		text, err = s.store.read(d.Digest)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.name, err)
	}
	return text, nil
}

// fetch brings a blob to this computer, unless it is there.
func (s *Set) fetch(ctx context.Context, r reference, d v1.Descriptor, took func(n int)) error {
	if s.store.has(d.Digest) {
		if took != nil {
			took(int(d.Size))
		}
		return nil
	}
	body, err := s.source.open(ctx, r, d)
	if err != nil {
		return err
	}
	defer body.Close()
	watched := &reading{ctx: ctx, r: body, took: took}
	err = s.store.keep(d.Digest, watched)
	var wrong digestError
	switch {
	case errors.As(err, &wrong):
		return wrongDigest(r, err)
	case watched.err != nil:
		return s.brokeOff(ctx, r, watched.err)
	}
	return err
}

func (s *Set) brokeOff(ctx context.Context, r reference, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	at, ok := s.source.(registry)
	if !ok {
		return fmt.Errorf("read %s: %w", r.name, err)
	}
	where, locateErr := located(r, at.mirrors)
	if locateErr != nil {
		return locateErr
	}
	return registryError(r, where, err)
}

// reading counts what is read, remembers why it broke off and stops with the
// context, which not every source does by itself.
type reading struct {
	ctx  context.Context
	r    io.Reader
	took func(int)
	err  error
}

func (c *reading) Read(p []byte) (int, error) {
	if c.err = context.Cause(c.ctx); c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	if c.took != nil {
		c.took(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

func isIndex(text []byte) bool {
	var m struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	return json.Unmarshal(text, &m) == nil && m.Manifests != nil
}

// forBox chooses from an index what the box runs. The rest of it stays where
// it is: of an image for ten architectures the box needs one.
func (s *Set) forBox(r reference, index []byte) (v1.Descriptor, error) {
	var m v1.IndexManifest
	if err := json.Unmarshal(index, &m); err != nil {
		return v1.Descriptor{}, fmt.Errorf("read the index of %s: %w", r.name, err)
	}
	var has []string
	best := -1
	for i, d := range m.Manifests {
		p := d.Platform
		if p == nil || p.OS == "unknown" {
			continue // attestations and the like
		}
		has = append(has, p.String())
		if p.OS == "linux" && p.Architecture == "amd64" && variant(p) <= s.level && (best < 0 || variant(p) > variant(m.Manifests[best].Platform)) {
			best = i
		}
	}
	if best < 0 {
		return v1.Descriptor{}, wrongPlatform(r, has)
	}
	return m.Manifests[best], nil
}

// variant is the level of x86-64 that an image says it was made for.
func variant(p *v1.Platform) int {
	switch p.Variant {
	case "v2":
		return 2
	case "v3":
		return 3
	case "v4":
		return 4
	}
	return 1
}

func wrongPlatform(r reference, has []string) error {
	return &fault.Error{
		Code: fault.ImageUnsuitable, Op: "choose what the box runs of " + r.name, Err: errors.New("there is nothing for linux/amd64"),
		Evidence: "it is for " + strings.Join(has, ", "),
		Next:     "use an image that is built for linux/amd64, for instance with `docker buildx build --platform linux/amd64`",
	}
}

// fill reads the manifest and the configuration.
func (s *Set) fill(ctx context.Context, img *image, d v1.Descriptor, text []byte) error {
	var m v1.Manifest
	if err := json.Unmarshal(text, &m); err != nil || m.Config.Digest == (v1.Hash{}) {
		return &fault.Error{
			Code: fault.ImageUnsuitable, Op: "read the manifest of " + img.ref.name, Err: cmpErr(err, "it is not an image"),
			Next: "check that the reference is a container image, not a chart or another artifact",
		}
	}
	kind := m.MediaType
	if kind == "" {
		kind = types.OCIManifestSchema1
	}
	img.manifest = v1.Descriptor{MediaType: kind, Digest: d.Digest, Size: int64(len(text))}
	img.config, img.layers = m.Config, m.Layers
	raw, err := s.text(ctx, img.ref, m.Config)
	if err != nil {
		return err
	}
	var c v1.ConfigFile
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("read the configuration of %s: %w", img.ref.name, err)
	}
	if c.OS != "linux" || c.Architecture != "amd64" {
		return wrongPlatform(img.ref, []string{c.OS + "/" + c.Architecture})
	}
	return nil
}

func cmpErr(err error, otherwise string) error {
	if err != nil {
		return err
	}
	return errors.New(otherwise)
}

// contents says what lies in a layer. Layers are scanned once: what an earlier
// scan found is kept by digest, also when the layer itself is long gone.
func (s *Set) contents(ctx context.Context, r reference, layer v1.Descriptor, took func(int)) (contents, error) {
	if c, ok := s.store.findings(layer.Digest); ok {
		took(int(layer.Size))
		return c, nil
	}
	if err := s.fetch(ctx, r, layer, took); err != nil {
		return contents{}, err
	}
	c, err := scanLayer(ctx, s.store.blob(layer.Digest))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
			return contents{}, err
		}
		return contents{}, &fault.Error{
			Code: fault.ImageUnsuitable, Op: "look into " + r.name, Err: fmt.Errorf("layer %s: %w", short(layer.Digest.Hex), err),
			Next: "the image is damaged where it was made; build or push it again",
		}
	}
	return c, s.store.remember(layer.Digest, c)
}
