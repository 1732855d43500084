package vm

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// DefaultName is the box that everything without a --name means.
const DefaultName = "oldpc"

// Lab says where the lab keeps its files and who hears of its progress.
type Lab struct {
	Root string // the lab's folder in the user's cache
	Log  *slog.Logger
}

// Open returns the lab of the user who runs this.
func Open(log *slog.Logger) (Lab, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Lab{}, fmt.Errorf("find cache folder: %w", err)
	}
	return Lab{Root: filepath.Join(cache, "ssg-bootstrap", "lab"), Log: log}, nil
}

// RunDir holds what runs now; each box has a folder of its own in it.
func (l Lab) RunDir() string { return filepath.Join(l.Root, "run") }

// Mirror is the folder that stands in for GitHub's releases.
func (l Lab) Mirror() string { return filepath.Join(l.Root, "out", "mirror") }

// Images is the folder of OCI layouts that stands in for the image registries.
func (l Lab) Images() string { return filepath.Join(l.Root, "out", "images") }

// Tailnet is the program that runs the lab's tailnet.
func (l Lab) Tailnet() string { return filepath.Join(l.Root, "out", "bin", "tailnetd") }

func (l Lab) storeDir() string { return filepath.Join(l.Root, "store") }

func (l Lab) guestDir(name string) string { return filepath.Join(l.RunDir(), name) }
