package bench

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

//go:embed memory.sh
var memoryScript string

const (
	memoryLooks = 3
	memoryEvery = 5 * time.Second
)

// memoryLook is one look at where the memory is, in bytes; load is the box's.
type memoryLook struct {
	of   map[string]float64
	load float64
}

// Memory measures what k3s and the release's pods hold while nothing is asked
// of them: three looks at the cgroups, five seconds apart.
func Memory(ctx context.Context, r host.Reader, c *cluster.Cluster, release string) (Row, error) {
	row := NewRow(IdleMemory, MethodDirect)
	out, err := r.Query(ctx, host.Command{
		Argv: []string{"sh", "-c", memoryScript, "sh", strconv.Itoa(memoryLooks), strconv.Itoa(int(memoryEvery.Seconds()))}, Root: true,
	})
	if err != nil {
		return row, fmt.Errorf("measure memory: %w", err)
	}
	looks, err := parseMemory(out)
	if err != nil {
		return row, fmt.Errorf("measure memory: %w", err)
	}
	pods, err := c.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return row, c.Explain("name the pods", err)
	}
	for _, l := range looks {
		s, err := l.sample(pods.Items, c.Namespace, release)
		if err != nil {
			return row, err
		}
		row.Add(s)
	}
	row.Parts = middleParts(row.Samples)
	return row, nil
}

// parseMemory reads looks, each ended by an empty line.
func parseMemory(out []byte) ([]memoryLook, error) {
	var looks []memoryLook
	for block := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
		l := memoryLook{of: map[string]float64{}}
		for line := range strings.Lines(block) {
			name, number, ok := strings.Cut(strings.TrimSpace(line), " ")
			v, err := strconv.ParseFloat(number, 64)
			if !ok || err != nil || v < 0 || v > 1e15 {
				return nil, fmt.Errorf("not a figure: %.80q", line)
			}
			if name == "load" {
				l.load = v
			} else {
				l.of[name] = v
			}
		}
		if l.of["MemTotal:"] == 0 {
			return nil, errors.New("the kernel does not say how much memory there is")
		}
		looks = append(looks, l)
	}
	return looks, nil
}

// sample sums what belongs to k3s and the release; the rest are parts.
func (l memoryLook) sample(pods []corev1.Pod, namespace, release string) (Sample, error) {
	if l.of["k3s"] == 0 {
		return Sample{}, errors.New("measure memory: k3s has no cgroup; is it running?")
	}
	gb := func(bytes float64) float64 { return float64(int64(bytes/1e5+0.5)) / 1e4 }
	total, system := l.of["k3s"], 0.0
	parts := []Part{{"k3s, containerd and shims (cgroup)", gb(l.of["k3s"]), Gigabytes}}
	for _, p := range []string{"k3s", "containerd"} {
		if v := l.of["pss:"+p]; v > 0 {
			parts = append(parts, Part{p + " (PSS)", gb(v), Gigabytes})
		}
	}
	for _, p := range pods {
		held := l.of["pod:"+string(p.UID)] + l.of["pod:"+strings.ReplaceAll(string(p.UID), "-", "_")]
		switch {
		case held == 0:
		case p.Namespace == namespace && p.Labels[instanceLabel] == release:
			total += held
			parts = append(parts, Part{"pod " + p.Name, gb(held), Gigabytes})
		default:
			system += held
		}
	}
	used := l.of["MemTotal:"] - l.of["MemAvailable:"]
	parts = append(parts,
		Part{"other pods", gb(system), Gigabytes},
		Part{"the rest of the box", gb(max(0, used-total-system)), Gigabytes},
		Part{"swapped out", gb(l.of["SwapTotal:"] - l.of["SwapFree:"]), Gigabytes},
	)
	return Sample{Value: gb(total), Noise: &Noise{Load: l.load}, Parts: parts}, nil
}

// middleParts are the parts of the sample in the middle.
func middleParts(samples []Sample) []Part {
	if len(samples) == 0 {
		return nil
	}
	sorted := slices.Clone(samples)
	slices.SortFunc(sorted, func(a, b Sample) int { return int((a.Value - b.Value) * 1e6) })
	return sorted[len(sorted)/2].Parts
}

// diskScript prints the size and use of the file system that holds k3s's data,
// and what of it are images, volumes and the cluster's state. It reads folders
// for as long as it takes, behind everybody else's work.
const diskScript = `export LC_ALL=C
d=/var/lib/rancher/k3s
df -B1 --output=size,used "$d" | tail -n 1
run() { if command -v ionice >/dev/null; then ionice -c 3 nice -n 19 "$@"; else nice -n 19 "$@"; fi; }
size() { [ -e "$2" ] && run du -sx -B1 "$2" 2>/dev/null | { read -r n _ && echo "$1 $n"; }; :; }
size images "$d/agent/containerd"
size volumes "$d/storage"
size state "$d/server"
size programs "$d/data"`

// DiskUse measures how full the disk is, and with what of k3s.
func DiskUse(ctx context.Context, r host.Reader) (Row, error) {
	row := NewRow(DiskUsed, MethodDirect)
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", diskScript}, Root: true})
	if err != nil {
		return row, fmt.Errorf("measure disk use: %w", err)
	}
	head, rest, _ := bytes.Cut(out, []byte("\n"))
	var size, used float64
	if _, err := fmt.Sscan(string(head), &size, &used); err != nil || size <= 0 || used < 0 {
		return row, fmt.Errorf("measure disk use: not df's answer: %.80q", head)
	}
	row.Add(Sample{Value: used / 1e9})
	row.Parts = []Part{{"of", size / 1e9, Gigabytes}}
	names := map[string]string{"images": "images", "volumes": "volumes", "state": "cluster state", "programs": "k3s's own programs"}
	for line := range strings.Lines(string(rest)) {
		var name string
		var n float64
		if _, err := fmt.Sscan(line, &name, &n); err != nil || names[name] == "" {
			return row, fmt.Errorf("measure disk use: not du's answer: %.80q", line)
		}
		row.Parts = append(row.Parts, Part{names[name], n / 1e9, Gigabytes})
	}
	return row, nil
}

// Fsync measures how long the disk takes to have one page safe.
func Fsync(ctx context.Context, h host.Host, runs int) (Row, error) {
	row := NewRow(DiskFsync, MethodDirect)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for range runs {
		d, err := facts.MeasureDisk(ctx, h)
		if err != nil {
			return row, err
		}
		row.Add(Sample{Value: ms(d.FsyncP50), Parts: []Part{{"95 of 100 under", ms(d.FsyncP95), Milliseconds}, {"longest", ms(d.FsyncMax), Milliseconds}}})
	}
	row.Parts = middleParts(row.Samples)
	return row, nil
}

// Link measures the way to the box: its latency and its speed in both
// directions, each run by itself.
func Link(ctx context.Context, h host.Host, runs int, o Options) ([]Row, error) {
	rows := map[Metric]*Row{}
	var order []Metric
	add := func(m Metric, s Sample) {
		if !o.wants(m) {
			return
		}
		if rows[m] == nil {
			r := NewRow(m, MethodLink)
			rows[m], order = &r, append(order, m)
		}
		rows[m].Add(s)
	}
	for range runs {
		rtt, err := latency(ctx, h)
		if err != nil {
			return nil, err
		}
		add(LinkLatency, Sample{Value: round(rtt.Seconds() * 1000)})
		if o.wants(LinkUp) {
			up, err := facts.MeasureLink(ctx, host.ReadOnly(h), enoughForARow, facts.EnoughForAnyLink)
			if err != nil {
				return nil, err
			}
			add(LinkUp, Sample{Value: round(up.Rate * 8 / 1e6)})
		}
		if o.wants(LinkDown) {
			down, err := measureDown(ctx, host.ReadOnly(h), enoughForARow, facts.EnoughForAnyLink)
			if err != nil {
				return nil, err
			}
			add(LinkDown, Sample{Value: round(down * 8 / 1e6)})
		}
	}
	var out []Row
	for _, m := range order {
		out = append(out, *rows[m])
	}
	return out, nil
}

// latency is the time of one answer over the connection that is open: the box
// is asked to connect to its own API, for which it starts no process.
func latency(ctx context.Context, h host.Host) (time.Duration, error) {
	const looks = 5
	var took []time.Duration
	for range looks {
		begin := time.Now()
		conn, err := h.Dial(ctx, "tcp", "127.0.0.1:6443")
		if err != nil {
			return 0, fmt.Errorf("measure latency: %w", err)
		}
		took = append(took, time.Since(begin))
		_ = conn.Close()
	}
	return slices.Min(took), nil
}

// enoughForARow is how long noise travels for a figure that is kept: what the
// way lets go at once, up to a tenth of a second, is then a twentieth at most.
const enoughForARow = 2 * time.Second

// measureDown fetches noise, twice as much each time until it takes enough, or
// until twice as much would be more than most. It returns bytes a second.
func measureDown(ctx context.Context, r host.Reader, enough time.Duration, most int64) (float64, error) {
	const first = 32 << 10
	empty, err := timeFetch(ctx, r, 0)
	if err != nil {
		return 0, err
	}
	for size := int64(first); ; size *= 2 {
		took, err := timeFetch(ctx, r, size)
		if err != nil {
			return 0, err
		}
		if took-empty >= enough || 2*size > most {
			return float64(size) / max(took-empty, time.Millisecond).Seconds(), nil
		}
	}
}

func timeFetch(ctx context.Context, r host.Reader, n int64) (time.Duration, error) {
	begin := time.Now()
	out, err := r.Query(ctx, host.Command{Argv: []string{"head", "-c", strconv.FormatInt(n, 10), "/dev/urandom"}})
	if err != nil {
		return 0, fmt.Errorf("measure link: %w", err)
	}
	if int64(len(out)) != n {
		return 0, fmt.Errorf("measure link: %d of %d bytes arrived", len(out), n)
	}
	return time.Since(begin), nil
}

// ImagesOf finds the digests of the images that the pods of a release run.
func ImagesOf(ctx context.Context, c *cluster.Cluster, release string) (map[string]string, error) {
	pods, err := c.Client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: instanceLabel + "=" + release})
	if err != nil {
		return nil, c.Explain("look at the pods", err)
	}
	out := map[string]string{}
	for _, p := range pods.Items {
		for _, s := range p.Status.ContainerStatuses {
			if s.ImageID != "" {
				out[s.Image] = s.ImageID
			}
		}
	}
	return out, nil
}
