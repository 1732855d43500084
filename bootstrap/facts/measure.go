package facts

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Link is the measured way to the box.
type Link struct {
	// Rate is in bytes a second, towards the box.
	Rate  float64       `json:"rate"`
	Bytes int64         `json:"bytes"`
	Took  time.Duration `json:"took"`
	// RTT is the time of an empty command, so it includes starting one.
	RTT time.Duration `json:"rtt"`
}

// Disk is the measured speed of the disk under k3s's data: the time to write
// one page and have it safe, which the datastore does for each change.
type Disk struct {
	FsyncP50 time.Duration `json:"fsyncP50"`
	FsyncP95 time.Duration `json:"fsyncP95"`
	FsyncMax time.Duration `json:"fsyncMax"`
	Samples  int           `json:"samples"`
}

// EnoughForAnyLink is as much as a measurement ever needs to send at a time.
const EnoughForAnyLink = 4 << 20

// EnoughForAForecast is how long an upload must take to tell a link's speed from
// its latency well enough to foretell how long a larger one will take. A modem or
// a switch may let 100 ms go at once, so it is up to a seventh off.
const EnoughForAForecast = 700 * time.Millisecond

// MeasureLink sends bytes that the box throws away, twice as many each time
// until they take enough, or until twice as many would be more than most. In all
// it sends less than twice that.
func MeasureLink(ctx context.Context, r host.Reader, enough time.Duration, most int64) (Link, error) {
	const first = 32 << 10
	rtt, err := timeDiscard(ctx, r, nil)
	if err != nil {
		return Link{}, err
	}
	for size := int64(first); ; size *= 2 {
		took, err := timeDiscard(ctx, r, noise(size))
		if err != nil {
			return Link{}, err
		}
		if took-rtt >= enough || 2*size > most {
			// A link faster than the clock can tell still needs a finite rate.
			moving := max(took-rtt, time.Millisecond)
			return Link{Rate: float64(size) / moving.Seconds(), Bytes: size, Took: took, RTT: rtt}, nil
		}
	}
}

func timeDiscard(ctx context.Context, r host.Reader, data []byte) (time.Duration, error) {
	start := time.Now()
	if _, err := r.Query(ctx, host.Command{Argv: []string{"dd", "of=/dev/null", "bs=32k", "status=none"}, Stdin: data}); err != nil {
		return 0, fmt.Errorf("measure link: %w", err)
	}
	return time.Since(start), nil
}

// noise does not compress, so that nothing on the way makes the link look
// faster than it is.
func noise(n int64) []byte {
	out := make([]byte, 0, n+8)
	for x := uint64(88172645463325252); int64(len(out)) < n; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for s := 0; s < 64; s += 8 {
			out = append(out, byte(x>>s))
		}
	}
	return out[:n]
}

const fsyncSamples = 40

// fsyncScript overwrites the same page again and again, each time waiting for
// the disk, and prints the time after each. The probe is removed however the
// script ends.
const fsyncScript = `export LC_ALL=C
dir=$1 n=$2
mkdir -p "$dir" && probe=$(mktemp "$dir/fsync.XXXXXX") || exit 1
trap 'rm -f "$probe"' EXIT
trap 'exit 1' HUP INT TERM
i=0
while [ "$i" -lt "$n" ]; do
	dd if=/dev/zero of="$probe" bs=4096 count=1 conv=notrunc,fsync 2>&1 | while read -r line; do
		case $line in *copied*) echo "$line" ;; esac
	done
	i=$((i + 1))
done
`

// MeasureDisk writes a small probe below /var/lib/ssg-bootstrap and removes
// it.
func MeasureDisk(ctx context.Context, h host.Host) (Disk, error) {
	out, err := h.Run(ctx, host.Command{
		Argv: []string{"sh", "-c", fsyncScript, "sh", "/var/lib/ssg-bootstrap", strconv.Itoa(fsyncSamples)},
		Root: true,
	})
	if err != nil {
		return Disk{}, fmt.Errorf("measure disk: %w", err)
	}
	d, err := parseFsync(out)
	if err != nil {
		return Disk{}, fmt.Errorf("measure disk: %w", err)
	}
	return d, nil
}

// parseFsync reads dd's own timing, as in
// "4096 bytes (4.1 kB, 4.0 KiB) copied, 0.0123 s, 333 kB/s", which leaves out
// the time that an old CPU needs to start dd.
func parseFsync(out []byte) (Disk, error) {
	var took []time.Duration
	for line := range bytes.Lines(out) {
		_, rest, ok := strings.Cut(string(line), "copied, ")
		number, _, unit := strings.Cut(rest, " s")
		seconds, err := strconv.ParseFloat(number, 64)
		if within := seconds >= 0 && seconds <= time.Hour.Seconds(); !ok || !unit || err != nil || !within {
			return Disk{}, fmt.Errorf("not dd's timing: %.80q", line)
		}
		took = append(took, time.Duration(seconds*float64(time.Second)))
	}
	if len(took) == 0 {
		return Disk{}, fmt.Errorf("dd told no timing")
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100] }
	return Disk{FsyncP50: at(50), FsyncP95: at(95), FsyncMax: took[len(took)-1], Samples: len(took)}, nil
}
