package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

const archiveName = "k3s-airgap-images-amd64.tar.zst"

// part is a layer before it is written.
type part struct {
	name  string
	files []image.File
}

// plannedImage is an image before it is written: parts shared between images
// become one layer in the archive.
type plannedImage struct {
	name   string
	parts  []part
	config v1.Config
}

// airgap returns the archive of k3s's system images.
func (b *builder) airgap(ctx context.Context) (string, error) {
	planned, err := b.planImages(ctx)
	if err != nil {
		return "", fmt.Errorf("plan images: %w", err)
	}
	recipe, err := b.imagesRecipe(planned)
	if err != nil {
		return "", fmt.Errorf("describe images: %w", err)
	}
	dir, err := b.get(ctx, "airgap-images", recipe, func(_ context.Context, dir string, _ *os.File) error {
		layers, err := os.MkdirTemp(dir, "layers-")
		if err != nil {
			return err
		}
		images, err := writeImages(planned, layers)
		if err != nil {
			return err
		}
		return errors.Join(writeCompressed(filepath.Join(dir, archiveName), images), os.RemoveAll(layers))
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, archiveName), nil
}

// planImages lists the images that k3s's manifests name, with the users and
// entry points that their publishers give them.
func (b *builder) planImages(ctx context.Context) ([]plannedImage, error) {
	base, err := b.busyboxPart(ctx)
	if err != nil {
		return nil, err
	}
	pause, err := b.pause(ctx)
	if err != nil {
		return nil, err
	}
	balancer, err := b.compile(ctx, klipperLB())
	if err != nil {
		return nil, err
	}
	planned := []plannedImage{
		{
			name:   "docker.io/rancher/mirrored-pause:" + pauseVersion,
			parts:  []part{command("pause", filepath.Join(pause, "pause"), "/pause")},
			config: v1.Config{User: "65535:65535", Entrypoint: []string{"/pause"}, Env: searchPath(), WorkingDir: "/"},
		},
		{
			name:   "docker.io/rancher/mirrored-library-busybox:" + busyboxVersion,
			parts:  []part{accounts(), base},
			config: v1.Config{Cmd: []string{"sh"}, Env: searchPath()},
		},
		{
			name:   "docker.io/rancher/klipper-lb:" + klipperLBVersion,
			parts:  []part{accounts(), base, command("klipper-lb", filepath.Join(balancer, "klipper-lb"), "/usr/bin/entry")},
			config: v1.Config{Entrypoint: []string{"entry"}, Env: searchPath()},
		},
	}
	for _, u := range upstreams() {
		next, ok, err := b.planUpstream(ctx, u, base)
		if err != nil {
			return nil, err
		}
		if ok {
			planned = append(planned, next)
		}
	}
	return planned, nil
}

// planUpstream plans the image of a published program, if it has one.
func (b *builder) planUpstream(ctx context.Context, u upstream, base part) (plannedImage, bool, error) {
	layout, ok := imageOf(u.name, base)
	if !ok {
		return plannedImage{}, false, nil
	}
	version, err := moduleVersion(filepath.Join(b.lab, u.folder()), u.module)
	if err != nil {
		return plannedImage{}, false, err
	}
	bin, err := b.compile(ctx, u.program(version))
	if err != nil {
		return plannedImage{}, false, err
	}
	tag := version
	if layout.bareTag {
		tag = strings.TrimPrefix(version, "v")
	}
	own := command(u.name, filepath.Join(bin, u.name), layout.path)
	own.files[0].Capability = layout.capability
	return plannedImage{
		name:   layout.repository + ":" + tag,
		parts:  append(append(layout.below, own), layout.above...),
		config: layout.config,
	}, true, nil
}

// imageLayout says how a program's publisher puts it into an image.
type imageLayout struct {
	repository   string
	bareTag      bool // the tag has no leading v
	path         string
	capability   []byte
	below, above []part
	config       v1.Config
}

func imageOf(name string, base part) (imageLayout, bool) {
	switch name {
	case "coredns":
		return imageLayout{
			repository: "docker.io/rancher/mirrored-coredns-coredns",
			bareTag:    true,
			path:       "/coredns",
			capability: bindLowPorts(),
			below:      []part{accounts()},
			config: v1.Config{
				User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/coredns"}, Env: searchPath(),
				ExposedPorts: map[string]struct{}{"53/tcp": {}, "53/udp": {}},
			},
		}, true
	case "metrics-server":
		return imageLayout{
			repository: "docker.io/rancher/mirrored-metrics-server",
			path:       "/metrics-server",
			below:      []part{accounts()},
			config:     v1.Config{User: "65534", WorkingDir: "/", Entrypoint: []string{"/metrics-server"}, Env: searchPath()},
		}, true
	case "local-path-provisioner":
		return imageLayout{
			repository: "docker.io/rancher/local-path-provisioner",
			path:       "/usr/bin/local-path-provisioner",
			below:      []part{accounts(), base},
			config:     v1.Config{Cmd: []string{"local-path-provisioner"}, Env: searchPath()},
		}, true
	case "traefik":
		return imageLayout{
			repository: "docker.io/rancher/mirrored-library-traefik",
			bareTag:    true,
			path:       "/usr/local/bin/traefik",
			below:      []part{accounts(), base},
			above:      []part{traefikEntry()},
			config: v1.Config{
				Entrypoint: []string{"/entrypoint.sh"}, Cmd: []string{"traefik"}, Env: searchPath(),
				ExposedPorts: map[string]struct{}{"80/tcp": {}},
			},
		}, true
	}
	return imageLayout{}, false
}

// accounts is what every image of a distribution without a shell has.
func accounts() part {
	return part{name: "accounts", files: []image.File{
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nnonroot:x:65532:65532:nonroot:/home/nonroot:/bin/false\n")},
		{Path: "/etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n")},
		{Path: "/etc/nsswitch.conf", Mode: 0o644, Data: []byte("hosts: files dns\n")},
		{Path: "/tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
		{Path: "/root", Mode: os.ModeDir | 0o700},
	}}
}

// busyboxPart is a shell and the usual commands.
func (b *builder) busyboxPart(ctx context.Context) (part, error) {
	program, applets, err := b.busybox(ctx)
	if err != nil {
		return part{}, err
	}
	files := []image.File{{Path: "/bin/busybox", Mode: 0o755, Source: program}}
	for _, name := range applets {
		if name != "busybox" {
			files = append(files, image.File{Path: "/bin/" + name, Link: "busybox"})
		}
	}
	return part{name: "busybox", files: files}, nil
}

// traefikEntry lets a pod give only Traefik's arguments, as the official image does.
func traefikEntry() part {
	script := `#!/bin/sh
set -e
case "$1" in
-* | "" | version | healthcheck) set -- traefik "$@" ;;
esac
exec "$@"
`
	return part{name: "traefik-entry", files: []image.File{{Path: "/entrypoint.sh", Mode: 0o755, Data: []byte(script)}}}
}

func command(name, source, path string) part {
	return part{name: name, files: []image.File{{Path: path, Mode: 0o755, Source: source}}}
}

func searchPath() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
}

// bindLowPorts is the attribute that `setcap cap_net_bind_service=+ep` writes:
// revision 2, effective, and bit 10 of the permitted set.
func bindLowPorts() []byte {
	return []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
}

func (b *builder) imagesRecipe(planned []plannedImage) (*store.Recipe, error) {
	recipe := &store.Recipe{}
	if err := recipe.AddTree(filepath.Join(b.lab, "build", "image"), compiled); err != nil {
		return nil, err
	}
	for _, module := range []string{"github.com/google/go-containerregistry", "github.com/klauspost/compress"} {
		version, err := moduleVersion(b.lab, module)
		if err != nil {
			return nil, err
		}
		recipe.Add("writer", module, version)
	}
	for _, p := range planned {
		recipe.Add("image", p.name, fmt.Sprintf("%+v", p.config))
		for _, part := range p.parts {
			recipe.Add("layer", part.name)
			for _, file := range part.files {
				recipe.Add("entry", file.Path, file.Mode.String(), file.Link, fmt.Sprintf("%q %x %d:%d", file.Data, file.Capability, file.UID, file.GID))
				if file.Source == "" {
					continue
				}
				if err := recipe.AddFile(file.Path, file.Source); err != nil {
					return nil, err
				}
			}
		}
	}
	return recipe, nil
}

// writeImages writes the layers, each once and uncompressed, to a folder.
func writeImages(planned []plannedImage, dir string) ([]image.Named, error) {
	return layerImages(planned, func(p part) (v1.Layer, error) {
		return image.NewLayer(filepath.Join(dir, p.name), p.files)
	})
}

// layerImages makes the images of layers that write gives, asked once for each part.
func layerImages(planned []plannedImage, write func(part) (v1.Layer, error)) ([]image.Named, error) {
	var images []image.Named
	written := map[string]v1.Layer{}
	for _, p := range planned {
		var layers []v1.Layer
		for _, part := range p.parts {
			if written[part.name] == nil {
				layer, err := write(part)
				if err != nil {
					return nil, err
				}
				written[part.name] = layer
			}
			layers = append(layers, written[part.name])
		}
		made, err := image.New(p.config, layers...)
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", p.name, err)
		}
		images = append(images, image.Named{Name: p.name, Image: made})
	}
	return images, nil
}

func writeCompressed(path string, images []image.Named) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	// One worker: with more, what comes out may hang on how they are scheduled.
	compressor, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return errors.Join(err, file.Close())
	}
	buffered := bufio.NewWriterSize(compressor, 1<<20)
	return errors.Join(image.WriteArchive(buffered, images), buffered.Flush(), compressor.Close(), file.Close())
}
