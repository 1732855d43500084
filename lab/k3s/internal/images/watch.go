package images

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a file has to be left alone before it is imported, so that
// an upload in progress is not taken for an archive.
const settle = 2 * time.Second

// Watch imports archives that appear or change, until the context ends.
func (im *Importer) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch image folder: %w", err)
	}
	defer w.Close()
	if err := w.Add(im.Dir); err != nil {
		return fmt.Errorf("watch image folder: %w", err)
	}
	due := map[string]time.Time{}
	tick := time.NewTicker(settle / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			return fmt.Errorf("watch image folder: %w", err)
		case e := <-w.Events:
			if Known(e.Name) && e.Has(fsnotify.Create|fsnotify.Write|fsnotify.Chmod) {
				due[e.Name] = time.Now().Add(settle)
			}
		case now := <-tick.C:
			im.importDue(ctx, due, now)
		}
	}
}

func (im *Importer) importDue(ctx context.Context, due map[string]time.Time, now time.Time) {
	for path, at := range due {
		if now.Before(at) {
			continue
		}
		delete(due, path)
		if err := im.importChanged(ctx, path); err != nil && !os.IsNotExist(err) {
			im.Log.Error("Unable to import image archive", "file", path, "error", err)
		}
	}
}

func (im *Importer) importChanged(ctx context.Context, path string) error {
	cache, err := OpenCache(im.Dir)
	if err != nil {
		return err
	}
	cache.keep()
	if err := im.importOnce(ctx, cache, path); err != nil {
		return err
	}
	return cache.Save()
}
