package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

// Layouts builds what is missing of the application's images and of those that
// it stands on, and returns the folder that has one OCI layout for each.
func Layouts(ctx context.Context, log *slog.Logger) (string, error) {
	b, err := open(log)
	if err != nil {
		return "", err
	}
	return b.layouts(ctx)
}

func (b *builder) layouts(ctx context.Context) (string, error) {
	planned, err := b.planServices(ctx)
	if err != nil {
		return "", err
	}
	if planned["studentsystemgo"], err = b.planApp(ctx); err != nil {
		return "", err
	}
	for _, name := range sortedNames(planned) {
		dir, err := b.layout(ctx, "image-"+name, planned[name])
		if err != nil {
			return "", err
		}
		if err := store.Link(dir, b.out("images", name)); err != nil {
			return "", err
		}
	}
	return b.out("images"), nil
}

// layout returns the folder with the OCI layout of some images.
func (b *builder) layout(ctx context.Context, product string, planned []plannedImage) (string, error) {
	recipe, err := b.imagesRecipe(planned)
	if err != nil {
		return "", fmt.Errorf("describe %s: %w", product, err)
	}
	// The compressor is the standard library's.
	recipe.Add("compressor", runtime.Version())
	return b.get(ctx, product, recipe, func(_ context.Context, dir string, _ *os.File) error {
		layers, err := os.MkdirTemp(dir, "layers-")
		if err != nil {
			return err
		}
		images, err := layerImages(planned, func(p part) (v1.Layer, error) { return compressedLayer(p, layers) })
		if err != nil {
			return err
		}
		return errors.Join(image.WriteLayout(dir, images), os.RemoveAll(layers))
	})
}

func compressedLayer(p part, dir string) (v1.Layer, error) {
	plain, err := image.NewLayer(filepath.Join(dir, p.name+".tar"), p.files)
	if err != nil {
		return nil, err
	}
	return image.Gzip(plain, filepath.Join(dir, p.name+".tar.gz"))
}
