package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// delivery is one run that brings what is missing, image after image: each is
// complete on the box before the next one begins.
type delivery struct {
	set *Set
	run step.Run
	// done and total are the bytes of all parcels.
	done, total int64
}

// attempts is how often one image is packed. containerd's garbage collector
// may take away what was counted on while the rest was on its way.
const attempts = 3

func (d *delivery) all(ctx context.Context) error {
	images, b, err := d.set.observe(ctx, d.run.Host, fetching{allowed: true})
	if err != nil {
		return err
	}
	if !b.up {
		return fault.New(fault.StepDeferred, "", "containerd on the box does not answer")
	}
	for n := range images {
		if b, err = d.one(ctx, images, n, b); err != nil {
			return err
		}
	}
	for _, name := range d.set.retired(images, b) {
		if err := d.label(ctx, name, ""); err != nil {
			return fmt.Errorf("let go of %s: %w", name, err)
		}
	}
	return d.sweep(ctx, b.parcels, "")
}

// one brings the n-th of the images to where nothing is left to do, and returns
// what the box has then.
func (d *delivery) one(ctx context.Context, images []*image, n int, b box) (box, error) {
	img := images[n]
	place := fmt.Sprintf("%s (%d of %d)", img.ref.name, n+1, len(images))
	for try := 1; ; try++ {
		why := b.lacks(img)
		if why == "" {
			return b, d.pin(ctx, img, b)
		}
		if try > attempts {
			return b, &fault.Error{
				Code: fault.NotConverged, Op: "import " + img.ref.name, Err: fmt.Errorf("imported %d times, and still %s", attempts, why),
				Next: "look at `k3s ctr -n k8s.io images check` on the box, then run the same command again",
			}
		}
		err := d.deliver(ctx, img, place, b)
		if err != nil && (try == attempts || !vanished(err)) {
			return b, err
		}
		if err != nil {
			d.run.Note(place + ": a layer was removed on the box meanwhile, sending what is missing now")
		}
		if b, err = look(ctx, d.run.Host, names(images)); err != nil {
			return b, err
		}
	}
}

// vanished tells the loss of a layer that the box had from other failures.
func vanished(err error) bool {
	text := fault.EvidenceOf(err)
	return fault.CodeOf(err) == fault.CommandFailed && strings.Contains(text, "sha256:") && strings.Contains(text, "not found")
}

func (d *delivery) deliver(ctx context.Context, img *image, place string, b box) error {
	layers := b.lacking(img)
	d.run.Note(fmt.Sprintf("%s: %d of %d layers are missing, packing", place, len(layers), len(img.blobs())-2))
	p, err := d.set.pack(ctx, img, layers)
	if err != nil {
		return err
	}
	defer os.Remove(p.path) // made again to the same bytes if it is needed again
	if err := d.fits(img, p, layers, b); err != nil {
		return err
	}
	if err := d.sweep(ctx, b.parcels, p.remote(img)); err != nil {
		return err
	}
	if err := d.send(ctx, img, place, p); err != nil {
		return err
	}
	return d.load(ctx, img, place, p)
}

// fits looks for room before anything is sent. An import that fills the disk
// half-way through would leave the box's pods without room as well.
func (d *delivery) fits(img *image, p parcel, layers []v1.Descriptor, b box) error {
	unpacked, err := d.set.unpacked(layers)
	if err != nil {
		return err
	}
	// The parcel, its layers in containerd's store, and what is unpacked.
	need := 2*p.size + unpacked
	if slices.Contains(b.parcels, path.Base(p.remote(img))) {
		need -= p.size // an earlier run has brought it
	}
	if b.free >= need {
		return nil
	}
	return &fault.Error{
		Code: fault.DiskFull, Op: "bring " + img.ref.name, Err: errors.New("the box has no room for it"),
		Evidence: fmt.Sprintf("%d MiB are needed in %s while it is imported, %d MiB are free", need>>20, dataDir, b.free>>20),
		Next:     fmt.Sprintf("free %d MiB on the file system of %s, then run the same command again", (need-b.free)>>20+1, dataDir),
	}
}

func (d *delivery) send(ctx context.Context, img *image, place string, p parcel) error {
	before := d.done
	d.total = max(d.total, before+p.size)
	d.run.Note(fmt.Sprintf("%s: sending %.1f MB", place, float64(p.size)/1e6))
	sent, err := d.run.Host.Send(ctx, host.Blob{
		Local: p.path, SHA256: p.sha256, Size: p.size, Path: p.remote(img), Mode: 0o600,
	}, func(done, _ int64) { d.run.Progress(before+done, d.total) })
	if err != nil {
		return fmt.Errorf("bring %s: %w", img.ref.name, err)
	}
	d.done += p.size
	if sent.Resumed > 0 {
		d.run.Note(fmt.Sprintf("%s: %.1f MB of it were on the box already", place, float64(sent.Resumed)/1e6))
	}
	return nil
}

// loadScript imports the parcel $2, keeps the image by the label $3 and takes
// the parcel away, in this order and on the box: should nobody be there to see
// the end, nothing is left over. Files are on the disk before containerd calls
// them unpacked: after a power cut it would not look again.
const loadScript = `set -e
"$1" ctr -n k8s.io images import --local --sync-fs --label "$3" "$2"
rm -f "$2"`

// loadStall is for the silence while one large layer is unpacked onto an old
// disk, at which containerd prints nothing.
const loadStall = 30 * time.Minute

func (d *delivery) load(ctx context.Context, img *image, place string, p parcel) error {
	d.run.Note(place + ": importing")
	err := d.run.Host.Job(ctx, host.Job{
		Name:  "image-" + short(img.manifest.Digest.Hex),
		Argv:  []string{"sh", "-c", loadScript, "sh", program3s, p.remote(img), pinLabel + "=" + pinValue},
		Stall: loadStall,
	}, nil)
	if err == nil {
		return nil
	}
	if strings.Contains(strings.ToLower(fault.EvidenceOf(err)), "no space left on device") {
		return &fault.Error{
			Code: fault.DiskFull, Op: "import " + img.ref.name, Err: errors.New("the box's disk filled up; what runs there goes on"),
			Evidence: fault.EvidenceOf(err),
			Next:     "free space on the file system of " + dataDir + ", then run the same command again: what arrived is not sent again",
		}
	}
	return fmt.Errorf("import %s: %w", img.ref.name, err)
}

func (d *delivery) pin(ctx context.Context, img *image, b box) error {
	if b.pinned(img) {
		return nil
	}
	if err := d.label(ctx, img.ref.name, pinValue); err != nil {
		return fmt.Errorf("keep %s: %w", img.ref.name, err)
	}
	return nil
}

// label sets the label that keeps an image, or takes it away.
func (d *delivery) label(ctx context.Context, name, value string) error {
	argv := []string{program3s, "ctr", "-n", "k8s.io", "images", "label", name, pinLabel + "=" + value}
	_, err := d.run.Host.Run(ctx, host.Command{Argv: argv, Root: true})
	return err
}

// sweep removes parcels that nobody will import, but one.
func (d *delivery) sweep(ctx context.Context, parcels []string, but string) error {
	argv := []string{"rm", "-f", "--"}
	for _, name := range parcels {
		if full := path.Join(parcelDir, name); full != but {
			argv = append(argv, full)
		}
	}
	if len(argv) == 3 {
		return nil
	}
	if _, err := d.run.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("remove what an earlier run left: %w", err)
	}
	return nil
}
