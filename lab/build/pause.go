package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

// pause returns the folder with the program that holds a pod's namespaces. It
// is written in C because one runs per pod and a Go runtime would cost each of
// them more memory than the real one takes.
func (b *builder) pause(ctx context.Context) (string, error) {
	return b.pauseFor(ctx, "pause", "-march=x86-64")
}

// pauseForV2 returns the same program, marked as one that needs a processor
// which the box does not have.
func (b *builder) pauseForV2(ctx context.Context) (string, error) {
	return b.pauseFor(ctx, "pause-v2", "-march=x86-64-v2", "-Wl,-z,x86-64-v2")
}

func (b *builder) pauseFor(ctx context.Context, product string, level ...string) (string, error) {
	source := filepath.Join(b.lab, "build", "pause", "pause.c")
	flags := append([]string{"-static", "-Os", "-s", "-Wall", "-Werror"}, level...)
	flags = append(flags, "-Wl,--build-id=none")
	recipe := &store.Recipe{}
	recipe.Add("flags", flags...)
	if err := addToolchain(ctx, recipe, nil); err != nil {
		return "", fmt.Errorf("describe %s: %w", product, err)
	}
	if err := recipe.AddFile("pause.c", source); err != nil {
		return "", fmt.Errorf("describe %s: %w", product, err)
	}
	return b.get(ctx, product, recipe, func(ctx context.Context, dir string, log *os.File) error {
		compile := exec.CommandContext(ctx, "gcc", append(flags, "-o", filepath.Join(dir, "pause"), source)...)
		compile.Stdout, compile.Stderr = log, log
		return compile.Run()
	})
}
