// Package imagestest has an image store and images to test with.
//
// It keeps the promise that an import which succeeds in a test succeeds on a
// box: the model of containerd's store reads the archive itself, checks every
// digest, takes layers that the archive lacks from its own store as containerd
// does, and fails where containerd fails: when neither has them.
package imagestest

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

const socket = "/run/k3s/containerd/containerd.sock"

// Containerd is the model of one box's containerd, as its `ctr` shows it.
type Containerd struct {
	box *hosttest.Box

	mu       sync.Mutex
	blobs    map[string][]byte
	images   map[string]*record
	unpacked map[string]bool
	imports  int
	// room is how many bytes of blobs fit, beforeImport what happens just
	// before the next import.
	room         int64
	beforeImport func(context.Context)
}

type record struct {
	target v1.Descriptor
	labels map[string]string
}

// On puts containerd onto a box, running.
func On(box *hosttest.Box) *Containerd {
	c := &Containerd{
		box: box, blobs: map[string][]byte{}, images: map[string]*record{}, unpacked: map[string]bool{}, room: 1 << 40,
	}
	box.Command("ctr", c.ctr)
	return c
}

// Start makes the socket, which is how others see that containerd runs.
func (c *Containerd) Start() { c.box.WriteFile(socket, "", 0o600) }

// Room limits how many bytes of blobs fit.
func (c *Containerd) Room(bytes int64) { c.set(func() { c.room = bytes }) }

// BeforeImport does something once, when the next import is about to begin;
// its context ends with the box's power.
func (c *Containerd) BeforeImport(what func(context.Context)) {
	c.set(func() { c.beforeImport = what })
}

// Remove takes an image's name away and collects garbage.
func (c *Containerd) Remove(name string) {
	c.set(func() {
		delete(c.images, name)
		c.collect()
	})
}

// Unlabel takes an image's labels away.
func (c *Containerd) Unlabel(name string) { c.set(func() { c.images[name].labels = nil }) }

// Imports is how often something was imported.
func (c *Containerd) Imports() (n int) {
	c.set(func() { n = c.imports })
	return n
}

// Blobs are the digests of what the store holds, sorted.
func (c *Containerd) Blobs() (out []string) {
	c.set(func() { out = slices.Sorted(maps.Keys(c.blobs)) })
	return out
}

// Target is the digest that a name stands for.
func (c *Containerd) Target(name string) (digest string) {
	c.set(func() {
		if r := c.images[name]; r != nil {
			digest = r.target.Digest.String()
		}
	})
	return digest
}

func (c *Containerd) set(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
}

// collect removes what no image refers to.
func (c *Containerd) collect() {
	used := map[string]bool{}
	for _, r := range c.images {
		used[r.target.Digest.String()] = true
		if m, err := c.manifest(r.target); err == nil {
			used[m.Config.Digest.String()] = true
			for _, l := range m.Layers {
				used[l.Digest.String()] = true
			}
		}
	}
	maps.DeleteFunc(c.blobs, func(d string, _ []byte) bool { return !used[d] })
}

func (c *Containerd) manifest(d v1.Descriptor) (v1.Manifest, error) {
	var m v1.Manifest
	data, ok := c.blobs[d.Digest.String()]
	if !ok {
		return m, missing(d)
	}
	return m, json.Unmarshal(data, &m)
}

func missing(d v1.Descriptor) error { return fmt.Errorf("content digest %s: not found", d.Digest) }

// ctr is the program.
func (c *Containerd) ctr(call *hosttest.Call) int {
	args := call.Args[1:]
	if !c.box.Exists(socket) {
		return call.Errorf("ctr: failed to dial %q: connection refused", socket)
	}
	if !call.Root {
		return call.Errorf("ctr: failed to dial %q: permission denied", socket)
	}
	if len(args) < 4 || args[0] != "-n" || args[1] != "k8s.io" {
		return call.Errorf("ctr: not in the kubelet's namespace: %q", args)
	}
	if hook := c.hook(args); hook != nil {
		hook(call.Ctx)
	}
	if call.Ctx.Err() != nil {
		return 137
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch rest := args[4:]; args[2] + " " + args[3] {
	case "content ls":
		for _, d := range slices.Sorted(maps.Keys(c.blobs)) {
			call.Printf("%s\n", d)
		}
		return 0
	case "images ls":
		return c.list(call, rest)
	case "images check":
		return c.check(call, rest)
	case "images label":
		return c.label(call, rest)
	case "images import":
		if err := c.load(call, rest); err != nil {
			return call.Errorf("ctr: %v", err)
		}
		return 0
	}
	return call.Errorf("ctr: no model of %q", args)
}

func (c *Containerd) hook(args []string) func(context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if args[3] != "import" {
		return nil
	}
	hook := c.beforeImport
	c.beforeImport = nil
	return hook
}

// selected are the names that one of the filters FIELD=="VALUE" lets through.
func (c *Containerd) selected(filters []string) ([]string, error) {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c.images)) {
		through := len(filters) == 0
		for _, f := range filters {
			field, quoted, ok := strings.Cut(f, "==")
			value, err := strconv.Unquote(quoted)
			if !ok || err != nil {
				return nil, fmt.Errorf("parse filter %q", f)
			}
			key, isLabel := strings.CutPrefix(field, "labels.")
			if isLabel {
				if key, err = strconv.Unquote(key); err != nil {
					return nil, err
				}
				through = through || c.images[name].labels[key] == value
			} else {
				through = through || field == "name" && name == value
			}
		}
		if through {
			out = append(out, name)
		}
	}
	return out, nil
}

func (c *Containerd) list(call *hosttest.Call, args []string) int {
	if len(args) == 0 || args[0] != "-q" {
		return call.Errorf("ctr: no model of images ls %q", args)
	}
	names, err := c.selected(args[1:])
	if err != nil {
		return call.Errorf("ctr: %v", err)
	}
	for _, n := range names {
		call.Printf("%s\n", n)
	}
	return 0
}

func (c *Containerd) check(call *hosttest.Call, filters []string) int {
	names, err := c.selected(filters)
	if err != nil {
		return call.Errorf("ctr: %v", err)
	}
	call.Printf("REF TYPE DIGEST STATUS SIZE UNPACKED \n")
	for _, n := range names {
		t := c.images[n].target
		status, size := c.status(t)
		call.Printf("%s %s %s %s %d B/%d B %t \n", n, t.MediaType, t.Digest, status, size, size, c.unpacked[t.Digest.String()])
	}
	return 0
}

func (c *Containerd) status(t v1.Descriptor) (string, int64) {
	m, err := c.manifest(t)
	if err != nil {
		return "unavailable (0/?)", 0
	}
	size, has, all := t.Size, 1, 2+len(m.Layers)
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if _, ok := c.blobs[d.Digest.String()]; ok {
			has++
			size += d.Size
		}
	}
	word := "complete"
	if has < all {
		word = "incomplete"
	}
	return fmt.Sprintf("%s (%d/%d)", word, has, all), size
}

func (c *Containerd) label(call *hosttest.Call, args []string) int {
	if len(args) != 2 || c.images[args[0]] == nil {
		return call.Errorf("ctr: image %q: not found", args)
	}
	key, value, _ := strings.Cut(args[1], "=")
	if c.images[args[0]].labels = map[string]string{key: value}; value == "" {
		c.images[args[0]].labels = nil
	}
	return 0
}

// load is an import: blobs first, then the names, then unpacking. What was
// done stays done when a later part fails.
func (c *Containerd) load(call *hosttest.Call, args []string) error {
	labels := map[string]string{}
	var file string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--local" || a == "--sync-fs":
		case a == "--label" && i+1 < len(args):
			i++
			k, v, _ := strings.Cut(args[i], "=")
			labels[k] = v
		case strings.HasPrefix(a, "-"):
			return fmt.Errorf("no model of the flag %s", a)
		default:
			file = a
		}
	}
	f, err := os.Open(c.box.Path(file))
	if err != nil {
		return errors.New("open " + file + ": no such file or directory")
	}
	defer f.Close()
	c.imports++
	index, err := c.read(f)
	if err != nil {
		return err
	}
	for _, d := range index.Manifests {
		if err := c.add(call, d, labels); err != nil {
			return err
		}
	}
	return nil
}

func (c *Containerd) read(f io.Reader) (v1.IndexManifest, error) {
	var index v1.IndexManifest
	var layout bool
	for archive := tar.NewReader(f); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return index, err
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return index, err
		}
		switch {
		case h.Name == "oci-layout":
			layout = true
		case h.Name == "index.json":
			err = json.Unmarshal(data, &index)
		case strings.HasPrefix(h.Name, "blobs/sha256/"):
			err = c.take(path.Base(h.Name), data)
		}
		if err != nil {
			return index, err
		}
	}
	if !layout {
		return index, errors.New("unrecognized image format")
	}
	return index, nil
}

func (c *Containerd) take(hex string, data []byte) error {
	if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != hex {
		return fmt.Errorf("unexpected commit digest sha256:%s, expected sha256:%s: failed precondition", got, hex)
	}
	if c.room -= int64(len(data)); c.room < 0 {
		return errors.New("failed to copy: write /var/lib/rancher/k3s/agent/containerd/ingest/data: no space left on device")
	}
	c.blobs["sha256:"+hex] = data
	return nil
}

func (c *Containerd) add(call *hosttest.Call, d v1.Descriptor, labels map[string]string) error {
	name := d.Annotations["io.containerd.image.name"]
	m, err := c.manifest(d)
	if err != nil {
		return err
	}
	if name == "" || d.Size != int64(len(c.blobs[d.Digest.String()])) {
		return fmt.Errorf("the index is wrong about %s", d.Digest)
	}
	c.images[name] = &record{target: d, labels: labels}
	call.Printf("unpacking %s (%s)...", name, d.Digest)
	for _, b := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if _, ok := c.blobs[b.Digest.String()]; !ok {
			return fmt.Errorf("failed to extract layer %s: %w", b.Digest, missing(b))
		}
	}
	c.unpacked[d.Digest.String()] = true
	call.Printf("done\n")
	c.collect()
	return nil
}
