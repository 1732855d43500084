package main

import (
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images/imagestest"
)

const (
	registryKey   = "registry"
	containerdKey = "containerd"
)

// serveImages gives the box a containerd and the script a registry, whose
// address it returns.
func serveImages(env *testscript.Env, box *hosttest.Box) string {
	registry := imagestest.Serve()
	env.Defer(registry.Close)
	env.Values[registryKey] = registry
	env.Values[containerdKey] = imagestest.On(box)
	return registry.URL
}

// registryCommand changes what there is to be had:
//
//	registry push NAME PATH=TEXT…  an image with a layer for each file; the
//	                               text noise stands for 256 kB of it
//	registry close                 stops the registry
func registryCommand(ts *testscript.TestScript, neg bool, args []string) {
	registry := ts.Value(registryKey).(imagestest.Registry)
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: registry push|close")
	case args[0] == "close":
		registry.Close()
	case args[0] == "push" && len(args) > 2:
		ts.Check(push(registry, args[1], args[2:]))
	default:
		ts.Fatalf("registry cannot %s", strings.Join(args, " "))
	}
}

func push(registry imagestest.Registry, name string, files []string) error {
	var layers []imagestest.Files
	for i, f := range files {
		path, text, _ := strings.Cut(f, "=")
		if text == "noise" {
			text = imagestest.Noise(uint64(i), 256<<10)
		}
		layers = append(layers, imagestest.Files{path: strings.ReplaceAll(text, `\n`, "\n")})
	}
	img, err := imagestest.Image(layers...)
	if err != nil {
		return err
	}
	return registry.Put(name, img)
}

// storeCommand changes the box's store of images:
//
//	store remove NAME  takes an image away
//	store full         lets nothing more in
func storeCommand(ts *testscript.TestScript, neg bool, args []string) {
	containerd := ts.Value(containerdKey).(*imagestest.Containerd)
	switch line := strings.Join(args, " "); {
	case neg:
		ts.Fatalf("usage: store remove|full")
	case len(args) == 2 && args[0] == "remove":
		containerd.Remove(args[1])
	case line == "full":
		containerd.Room(0)
	default:
		ts.Fatalf("store cannot %s", line)
	}
}
