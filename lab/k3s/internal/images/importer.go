// Package images keeps the promise that an archive in agent/images is in the
// container store before a pod could ask for it, and that images imported this
// way survive garbage collection.
package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Labels of k3s. The second is the one that the kubelet's garbage collection
// respects; the first tells which images were pinned by k3s rather than by hand.
const (
	ownPin = "io.cattle.k3s.pinned"
	criPin = "io.cri-containerd.pinned"
	pinned = "pinned"
)

// Importer brings archives from one folder into containerd.
type Importer struct {
	Dir    string
	Client *client.Client
	Log    *slog.Logger
}

// ImportAll imports what the folder holds. One broken archive is reported and
// does not keep the others out.
func (im *Importer) ImportAll(ctx context.Context) error {
	if err := os.MkdirAll(im.Dir, 0o755); err != nil {
		return fmt.Errorf("make image folder: %w", err)
	}
	if err := im.clearPins(ctx); err != nil {
		return fmt.Errorf("clear pins: %w", err)
	}
	entries, err := os.ReadDir(im.Dir)
	if err != nil {
		return fmt.Errorf("list image folder: %w", err)
	}
	cache, err := OpenCache(im.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := im.importOnce(ctx, cache, filepath.Join(im.Dir, e.Name())); err != nil {
			im.Log.Error("Unable to import image archive", "file", e.Name(), "error", err)
		}
	}
	return cache.Save()
}

// importOnce imports a file unless the cache knows it unchanged.
func (im *Importer) importOnce(ctx context.Context, cache *Cache, path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || !Known(path) {
		return err
	}
	if cache.Fresh(path, info) {
		im.Log.Info("Skipping unchanged image archive", "file", filepath.Base(path))
		return nil
	}
	started := time.Now()
	refs, err := im.importFile(ctx, path)
	if err != nil {
		return err
	}
	cache.Remember(path, info)
	im.Log.Info("Imported images", "file", filepath.Base(path), "count", len(refs), "took", time.Since(started).Round(time.Millisecond))
	return nil
}

func (im *Importer) importFile(ctx context.Context, path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if filepath.Ext(path) == ".txt" {
		return im.pullList(ctx, f)
	}
	r, err := decompress(path, f)
	if err != nil {
		return nil, err
	}
	got, err := im.Client.Import(ctx, r, client.WithAllPlatforms(true), client.WithSkipMissing())
	if err != nil {
		return nil, fmt.Errorf("import archive: %w", err)
	}
	var refs []string
	for _, img := range got {
		if err := im.pin(ctx, img.Name); err != nil {
			return refs, fmt.Errorf("pin %s: %w", img.Name, err)
		}
		refs = append(refs, img.Name)
	}
	return refs, nil
}

func (im *Importer) pin(ctx context.Context, name string) error {
	return im.label(ctx, name, map[string]string{ownPin: pinned, criPin: pinned})
}

// clearPins takes the pins off images that k3s pinned: those whose archive has
// gone may be collected, the others are pinned again on import.
func (im *Importer) clearPins(ctx context.Context) error {
	store := im.Client.ImageService()
	all, err := store.List(ctx, fmt.Sprintf("labels.%q==%s", ownPin, pinned))
	if err != nil {
		return err
	}
	var errs []error
	for _, img := range all {
		errs = append(errs, im.label(ctx, img.Name, map[string]string{ownPin: "", criPin: ""}))
	}
	return errors.Join(errs...)
}

// label changes these labels of an image and no others; an empty value removes.
func (im *Importer) label(ctx context.Context, name string, labels map[string]string) error {
	var paths []string
	for k := range labels {
		paths = append(paths, "labels."+k)
	}
	slices.Sort(paths)
	_, err := im.Client.ImageService().Update(ctx, images.Image{Name: name, Labels: labels}, paths...)
	return err
}

// pullList fetches the images that a list names, through CRI so that registry
// settings apply.
func (im *Importer) pullList(ctx context.Context, f io.Reader) ([]string, error) {
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	conn, ok := im.Client.Conn().(grpc.ClientConnInterface)
	if !ok {
		return nil, fmt.Errorf("containerd's connection is %T, not gRPC", im.Client.Conn())
	}
	puller := runtimeapi.NewImageServiceClient(conn)
	var refs []string
	for line := range strings.Lines(string(content)) {
		ref := strings.TrimSpace(line)
		if ref == "" || strings.HasPrefix(ref, "#") {
			continue
		}
		request := &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}}
		if _, err := puller.PullImage(ctx, request); err != nil {
			return refs, fmt.Errorf("pull %s: %w", ref, err)
		}
		refs = append(refs, ref)
	}
	return refs, nil
}
