package images

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Where things are on the box.
const (
	socketPath = "/run/k3s/containerd/containerd.sock"
	dataDir    = "/var/lib/rancher/k3s"
	parcelDir  = "/var/lib/ssg-bootstrap/images"
	program3s  = "/usr/local/bin/k3s"
)

// The label that keeps the kubelet from removing an image when the disk fills.
// k3s has one of its own beside it, and clears both at each start from images
// that carry its own; those that carry this one alone are left as they are.
const (
	pinLabel = "io.cri-containerd.pinned"
	pinValue = "pinned"
)

// parcelsScript tells what waits to be imported, and goes on only where there
// may be a containerd, which is not so before k3s was started for the first time.
const parcelsScript = `set -e
if [ -d "$1" ]; then for f in "$1"/*.tar; do if [ -e "$f" ]; then echo "parcel ${f##*/}"; fi; done; fi
if [ ! -e "$2" ]; then exit 0; fi
`

// glanceScript asks how the images are that are kept. Where nothing is to be
// done, that is all there is to know: starting k3s's program takes an old CPU
// most of a second. It fails when one image is damaged, and still tells of all.
const glanceScript = parcelsScript + `kept=$("$4" ctr -n k8s.io images check "$5" 2>/dev/null) || [ -n "$kept" ] || exit 0
echo up
printf '%s\n' "$kept" | while read -r line; do echo "image $line"; done`

// lookScript asks for everything: the room on the disk, which images are kept,
// which blobs there are, and how the images that follow as filters are.
const lookScript = parcelsScript + `pinned=$("$4" ctr -n k8s.io images ls -q "$5" 2>/dev/null) || exit 0
echo up
echo free $(df -B1 --output=avail "$3" | tail -n 1)
printf '%s\n' "$pinned" | sed 's/^/pinned /'
blobs=$("$4" ctr -n k8s.io content ls -q)
printf '%s\n' "$blobs" | sed 's/^/blob /'
k3s=$4; shift 5
# It fails when one image is damaged, and still tells of all.
"$k3s" ctr -n k8s.io images check "$@" | sed 's/^/image /'`

// box is what the box has.
type box struct {
	// up says that containerd answers.
	up     bool
	free   int64
	images []Held
	blobs  map[string]bool
	// pins are the names of the images that are kept, sorted.
	pins    []string
	parcels []string
}

// Held is one image in the box's store.
type Held struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	// Size is what containerd says, in its own words.
	Size string `json:"size"`
	// Complete and Unpacked say that containers can be made of it.
	Complete bool `json:"complete"`
	Unpacked bool `json:"unpacked"`
	// Pinned says that the kubelet's garbage collector leaves it alone.
	Pinned bool `json:"pinned"`
}

// List returns all images of the box, and false where k3s does not run. The
// kubelet's own second names, which are digests alone, are left out.
func List(ctx context.Context, r host.Reader) ([]Held, bool, error) {
	b, err := look(ctx, r, nil)
	return slices.DeleteFunc(b.images, func(h Held) bool { return strings.HasPrefix(h.Name, "sha256:") }), b.up, err
}

func query(script string, names ...string) host.Command {
	argv := []string{"sh", "-c", script, "sh", parcelDir, socketPath, dataDir, program3s, filter("labels."+strconv.Quote(pinLabel), pinValue)}
	for _, n := range names {
		argv = append(argv, filter("name", n))
	}
	return host.Command{Argv: argv, Root: true, Aside: true}
}

func look(ctx context.Context, r host.Reader, names []string) (box, error) {
	out, err := r.Query(ctx, query(lookScript, names...))
	if err != nil {
		return box{}, fmt.Errorf("ask the box for its images: %w", err)
	}
	return parseBox(string(out))
}

// parseGlance reads what the box has of kept images, and of them alone.
func parseGlance(text string) (box, error) {
	b, err := parseBox(text)
	for i := range b.images {
		b.images[i].Pinned = true
		b.pins = append(b.pins, b.images[i].Name)
	}
	slices.Sort(b.pins)
	return b, err
}

// filter is one of containerd's; quoted, because names hold slashes and colons.
func filter(field, value string) string { return field + "==" + strconv.Quote(value) }

func parseBox(text string) (box, error) {
	b := box{blobs: map[string]bool{}}
	pinned := map[string]bool{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "up":
			b.up = true
		case len(f) == 1: // an empty list
		case f[0] == "parcel":
			b.parcels = append(b.parcels, f[1])
		case f[0] == "free":
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return b, fmt.Errorf("read the free space of %s: %w", dataDir, err)
			}
			b.free = n
		case f[0] == "pinned":
			pinned[f[1]] = true
		case f[0] == "blob":
			b.blobs[f[1]] = true
		case f[0] == "image" && len(f) > 5 && f[1] != "REF":
			b.images = append(b.images, parseHeld(f[1:]))
		}
	}
	b.pins = slices.Sorted(maps.Keys(pinned))
	for i := range b.images {
		b.images[i].Pinned = pinned[b.images[i].Name]
	}
	return b, nil
}

// parseHeld reads a line of `ctr images check`:
//
//	REF TYPE DIGEST complete (4/4) 42.9 MiB/42.9 MiB true
func parseHeld(f []string) Held {
	h := Held{Name: f[0], Digest: f[2], Complete: f[3] == "complete", Unpacked: f[len(f)-1] == "true"}
	if _, size, ok := strings.Cut(strings.Join(f[4:len(f)-1], " "), "/"); ok {
		_, h.Size, _ = strings.Cut(size, "/")
	}
	return h
}

func (b box) held(i *image) (Held, bool) {
	n := slices.IndexFunc(b.images, func(h Held) bool { return h.Name == i.ref.name })
	if n < 0 {
		return Held{}, false
	}
	return b.images[n], true
}

// lacks says in a few words what the box lacks of an image, or nothing.
func (b box) lacks(i *image) string {
	h, there := b.held(i)
	switch {
	case !there:
		return "absent"
	// Had the kubelet pulled it, the name would stand for the whole index.
	case h.Digest != i.manifest.Digest.String() && h.Digest != i.asked.String():
		return fmt.Sprintf("%s → %s", short(strings.TrimPrefix(h.Digest, "sha256:")), short(i.manifest.Digest.Hex))
	case !h.Complete:
		return "parts of it are missing"
	case !h.Unpacked:
		return "not unpacked"
	}
	return ""
}

func (b box) pinned(i *image) bool {
	h, _ := b.held(i)
	return h.Pinned
}

// lacking are the layers that must be sent.
func (b box) lacking(i *image) []v1.Descriptor {
	return slices.DeleteFunc(i.blobs()[2:], func(d v1.Descriptor) bool { return b.blobs[d.Digest.String()] })
}
