// Package images brings container images to the box.
//
// It keeps the promise that of an image only what the box lacks crosses the
// link, and crosses it once: the box is asked which blobs it has, the rest is
// packed so that a broken transfer goes on at the byte where it stopped, and
// what arrived is imported, kept from the garbage collector and looked at. And
// it keeps the promise that an image which the box's processor cannot run is
// refused before the first byte is sent.
package images

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Options say which images to bring, and from where.
type Options struct {
	// Refs are images as a pod names them: mariadb:11,
	// ghcr.io/owner/app@sha256:…. Doubles are taken once. When there are none,
	// From must be a folder or an archive and all of its images are meant.
	Refs []string
	// Choose, if not nil, names the images instead, by what the box says.
	Choose *Choice
	// From is "" for the registries that the references name, "oci:FOLDER" for
	// an OCI image layout, "docker-archive:FILE" for what `docker save` writes.
	From string
	// Mirrors stand in for registries: docker.io: https://mirror.example/hub.
	// The key "*" is for those without an entry.
	Mirrors map[string]string
	// CacheDir keeps blobs on this computer until the box has them, so that
	// nothing is downloaded twice.
	CacheDir string
	// Retire lets the kubelet remove other images of the same repositories when
	// the disk fills: with each tag that is deployed and kept, one stays that
	// nobody runs any more.
	Retire bool
	// CPULevel is the level of the box's processor, 1 to 4 for x86-64-v1 to v4.
	CPULevel int
	// Keychain has the registries' passwords; nil is docker's configuration.
	Keychain authn.Keychain
	// HTTP makes the requests; nil is a transport that respects HTTPS_PROXY.
	HTTP http.RoundTripper
}

// Choice names images by the answer to a query, which travels with the question
// for the images themselves.
type Choice struct {
	Ask  host.Command
	Refs func(answer []byte) ([]string, error)
}

// Set is the images that a box is to have. It is safe for use by several
// goroutines.
type Set struct {
	refs   []reference
	choice *Choice
	source source
	store  store
	level  int
	retire bool
	// turn is held by whoever resolves or fetches: what one asker found out
	// the next one need not ask again.
	turn chan struct{}
	// resolved are the images whose content is known, by name.
	resolved map[string]*image
	checked  map[*image]bool
}

// New checks the references and opens the source. Every wrong reference is
// reported, not only the first.
func New(o Options) (*Set, error) {
	refs, err := parseReferences(o.Refs)
	if err != nil {
		return nil, err
	}
	src, err := openSource(o)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 && o.Choose == nil {
		if refs, err = src.names(); err != nil {
			return nil, err
		}
	}
	store, err := openStore(o.CacheDir)
	if err != nil {
		return nil, err
	}
	return &Set{
		refs: refs, choice: o.Choose, source: src, store: store, level: cmp.Or(o.CPULevel, 1), retire: o.Retire,
		turn: make(chan struct{}, 1), resolved: make(map[string]*image), checked: make(map[*image]bool),
	}, nil
}

// names are what the box's store calls the images.
func names(all []*image) []string {
	out := make([]string, len(all))
	for i, img := range all {
		out[i] = img.ref.name
	}
	return out
}

func parseReferences(texts []string) ([]reference, error) {
	var out []reference
	var wrong []error
	for _, text := range texts {
		r, err := parseReference(text)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		if !slices.ContainsFunc(out, func(o reference) bool { return o.name == r.name }) {
			out = append(out, r)
		}
	}
	if len(wrong) > 0 {
		return nil, &fault.Error{
			Code: fault.Usage, Err: errors.Join(wrong...),
			Next: "write images as a pod does: mariadb:11, ghcr.io/owner/app:latest or …@sha256:…",
		}
	}
	return out, nil
}

func (r reference) String() string { return r.name }

// short is a digest as people compare it.
func short(hex string) string { return fmt.Sprintf("%.12s", hex) }
