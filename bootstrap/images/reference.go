package images

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// reference is one image.
type reference struct {
	// name is what containerd and the kubelet call it: with registry and
	// folder, and with the tag or the digest, never both.
	name string
	// parsed is the same for the registry client, whose names for Docker Hub
	// differ.
	parsed name.Reference
}

// hub is Docker Hub: how people and containerd call it.
const hub = "docker.io"

func parseReference(text string) (reference, error) {
	parsed, err := name.ParseReference(text)
	if err != nil {
		return reference{}, fmt.Errorf("%q is no image: %w", text, err)
	}
	repository := registryOf(parsed) + "/" + parsed.Context().RepositoryStr()
	if digest, ok := parsed.(name.Digest); ok {
		return reference{repository + "@" + digest.DigestStr(), parsed}, nil
	}
	return reference{repository + ":" + parsed.Identifier(), parsed}, nil
}

func registryOf(r name.Reference) string {
	if host := r.Context().RegistryStr(); host != name.DefaultRegistry {
		return host
	}
	return hub
}

// repository is a name without its tag or digest.
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}

// located is where a reference's registry, or what stands in for it, has it.
func located(r reference, mirrors map[string]string) (name.Reference, error) {
	mirror, ok := mirrors[registryOf(r.parsed)]
	if !ok {
		mirror, ok = mirrors["*"]
	}
	if !ok {
		return r.parsed, nil
	}
	at, err := url.Parse(mirror)
	if err != nil {
		return nil, fmt.Errorf("read the mirror's address: %w", err)
	}
	var options []name.Option
	if at.Scheme == "http" {
		options = append(options, name.Insecure)
	}
	path := strings.Trim(at.Path, "/")
	if path != "" {
		path += "/"
	}
	repository, err := name.NewRepository(at.Host+"/"+path+r.parsed.Context().RepositoryStr(), options...)
	if err != nil {
		return nil, fmt.Errorf("find %s at the mirror: %w", r.name, err)
	}
	if digest, ok := r.parsed.(name.Digest); ok {
		return repository.Digest(digest.DigestStr()), nil
	}
	return repository.Tag(r.parsed.Identifier()), nil
}
