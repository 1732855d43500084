package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

// NodeVersions are the versions of the cluster's node: of k3s and of what runs
// the containers.
func NodeVersions(ctx context.Context, c *cluster.Cluster) (kubelet, runtime string, err error) {
	nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", "", c.Explain("look at the node", err)
	}
	for _, n := range nodes.Items {
		return n.Status.NodeInfo.KubeletVersion, n.Status.NodeInfo.ContainerRuntimeVersion, nil
	}
	return "", "", nil
}

// stampsScript prints the boot's ID, both clocks, and systemd's own stamps in
// microseconds since the kernel started. The firmware's are only known where
// it tells them, which a BIOS does not.
const stampsScript = `export LC_ALL=C
echo "boot=$(cat /proc/sys/kernel/random/boot_id)"
echo "uptime=$(cut -d ' ' -f 1 /proc/uptime)"
echo "wall=$(date +%s.%N)"
systemctl show -p FirmwareTimestampMonotonic -p LoaderTimestampMonotonic -p UserspaceTimestampMonotonic
echo "k3s=$(systemctl show k3s -p ActiveEnterTimestampMonotonic --value)"`

type stamps struct {
	boot string
	// The rest are seconds; wall is of the time of day.
	uptime, wall, firmware, loader, userspace, k3s float64
}

func readStamps(ctx context.Context, r host.Reader) (stamps, error) {
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", stampsScript}})
	if err != nil {
		return stamps{}, fmt.Errorf("read when the box started: %w", err)
	}
	return parseStamps(out)
}

func parseStamps(out []byte) (stamps, error) {
	var s stamps
	into := map[string]struct {
		to *float64
		by float64
	}{
		"uptime": {&s.uptime, 1}, "wall": {&s.wall, 1}, "FirmwareTimestampMonotonic": {&s.firmware, 1e6},
		"LoaderTimestampMonotonic": {&s.loader, 1e6}, "UserspaceTimestampMonotonic": {&s.userspace, 1e6}, "k3s": {&s.k3s, 1e6},
	}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "boot" {
			s.boot = value
		}
		if f, ok := into[key]; ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || v < 0 || v > 1e18 {
				return s, fmt.Errorf("read when the box started: not a time: %.80q", line)
			}
			*f.to = v / f.by
		}
	}
	if s.boot == "" || s.uptime == 0 {
		return s, fmt.Errorf("read when the box started: it does not say")
	}
	return s, nil
}

// Reboot restarts the box and times it from the start of its kernel until its
// node is Ready. stall ends the wait for a box that does not come back.
func Reboot(ctx context.Context, h host.Host, c *cluster.Cluster, stall time.Duration, note func(string)) (Row, error) {
	row := NewRow(NodeBoot, MethodDirect)
	before, err := readStamps(ctx, h)
	if err != nil {
		return row, err
	}
	ordered := time.Now()
	// The connection breaks under the answer as often as not.
	if _, err := h.Run(ctx, host.Command{Argv: []string{"systemctl", "--no-block", "reboot"}, Root: true}); err != nil && !isLinkLost(err) {
		return row, fmt.Errorf("restart the box: %w", err)
	}
	note("waiting for the box")
	var now stamps
	err = wait.Until(ctx, wait.Condition{What: "the box to come back", Every: lookEvery, Box: 3 * time.Minute, Stall: stall}, func(ctx context.Context) (wait.State, error) {
		s, err := readStamps(ctx, h)
		if err != nil {
			return wait.State{}, err
		}
		now = s
		return wait.State{Done: s.boot != before.boot, Seen: "the box is still the old one"}, nil
	})
	if err != nil {
		return row, err
	}
	back := time.Since(ordered)
	note("waiting for the node")
	ready, err := nodeReady(ctx, h, c, now.boot, stall)
	if err != nil {
		return row, err
	}
	if now, err = readStamps(ctx, h); err != nil {
		return row, err
	}
	row.Add(Sample{Value: round(ready.at(now)), Error: 1})
	row.Parts = append(row.Parts,
		Part{"kernel", round(now.userspace), Seconds}, Part{"until k3s serves", round(now.k3s), Seconds},
		Part{"from the order to reboot until SSH answers", round(back.Seconds()), Seconds})
	if now.firmware > 0 {
		row.Parts = append(row.Parts, Part{"firmware and loader, before the kernel", round(now.firmware), Seconds})
	}
	return row, nil
}

// readyAt is when the node was Ready: by Kubernetes' word in the time of day,
// and by when we saw it.
type readyAt struct {
	said time.Time
	seen float64
}

// at is the moment in seconds since the kernel started. What Kubernetes wrote
// counts unless the clock was set since, which a box without a battery does at
// every boot: then it lies outside of this boot.
func (r readyAt) at(now stamps) float64 {
	said := seconds(r.said) - (now.wall - now.uptime)
	if said <= 0 || said > r.seen {
		return r.seen
	}
	return said
}

// nodeReady waits until the node says Ready about this very boot; what the API
// still has of the one before does not count.
func nodeReady(ctx context.Context, r host.Reader, c *cluster.Cluster, boot string, stall time.Duration) (readyAt, error) {
	var out readyAt
	err := wait.Until(ctx, wait.Condition{What: "the node to be Ready", Every: lookEvery, Box: time.Minute, Stall: stall}, func(ctx context.Context) (wait.State, error) {
		nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return wait.State{}, err
		}
		for _, n := range nodes.Items {
			if n.Status.NodeInfo.BootID != boot {
				return wait.State{Seen: "the node has not reported since the restart"}, nil
			}
			for _, t := range n.Status.Conditions {
				if t.Type != corev1.NodeReady {
					continue
				}
				if t.Status != corev1.ConditionTrue {
					return wait.State{Seen: "the node is not Ready: " + t.Message}, nil
				}
				now, err := readStamps(ctx, r)
				out = readyAt{said: t.LastTransitionTime.Time, seen: now.uptime}
				return wait.State{Done: err == nil, Seen: "the node is Ready"}, err
			}
		}
		return wait.State{Seen: "there is no node"}, nil
	})
	return out, err
}
