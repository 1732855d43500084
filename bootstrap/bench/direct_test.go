package bench

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

// a box with k3s and pods, in both ways in which a kubelet names their groups.
func memoryTree(t *testing.T, root string) {
	t.Helper()
	group := func(path, current, inactive string) {
		dir := filepath.Join(root, "sys/fs/cgroup", path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{"memory.current": current + "\n", "memory.stat": "anon 5\ninactive_file " + inactive + "\nactive_file 7\n"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	group("system.slice/k3s.service", "700000000", "100000000")
	group("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod11111111_2222.slice", "130000000", "10000000")
	group("kubepods/besteffort/podaaaa-bbbb", "50000000", "20000000")
	for path, text := range map[string]string{
		"proc/meminfo": "MemTotal:        4000000 kB\nMemFree: 1 kB\nMemAvailable:    2500000 kB\nSwapTotal:       2000000 kB\nSwapFree:        1900000 kB\n",
		"proc/loadavg": "0.42 0.50 0.61 1/200 999\n", "proc/77/comm": "k3s-server\n", "proc/78/comm": "containerd\n",
		"proc/77/task/77/children": "78 ", "proc/77/smaps_rollup": "00400000-7fff ---p 00000000 00:00 0 [rollup]\nRss: 500 kB\nPss: 300000 kB\nSwapPss: 20000 kB\n",
		"proc/78/smaps_rollup": "Pss: 60000 kB\nSwapPss: 0 kB\n",
	} {
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMemoryIsAddedUpFromTheGroups runs the script that runs on a box over a
// folder that looks like one.
func TestMemoryIsAddedUpFromTheGroups(t *testing.T) {
	root := t.TempDir()
	memoryTree(t, root)
	script := strings.NewReplacer("/sys/fs/cgroup", root+"/sys/fs/cgroup", "/proc/", root+"/proc/").Replace(memoryScript)
	script = "systemctl() { echo 77; }\n" + script
	out, err := exec.Command("sh", "-c", script, "sh", "2", "0").Output()
	if err != nil {
		t.Fatal(err)
	}
	looks, err := parseMemory(out)
	if err != nil || len(looks) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	pods := []corev1.Pod{
		{ObjectMeta: metav1.ObjectMeta{Name: "redis-0", Namespace: "ssg", UID: types.UID("11111111-2222"), Labels: map[string]string{instanceLabel: "ssg"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "coredns", Namespace: "kube-system", UID: types.UID("aaaa-bbbb")}},
	}
	s, err := looks[0].sample(pods, "ssg", "ssg")
	if err != nil || math.Abs(s.Value-0.72) > 1e-9 {
		t.Fatalf("%v, %v", s, err)
	}
	want := map[string]float64{
		"k3s, containerd and shims (cgroup)": 0.6, "k3s (PSS)": 0.3277, "containerd (PSS)": 0.0614, "pod redis-0": 0.12, "other pods": 0.03,
		"the rest of the box": 1.536 - 0.75, "swapped out": 0.1024,
	}
	if len(s.Parts) != len(want) {
		t.Errorf("%+v", s.Parts)
	}
	for _, p := range s.Parts {
		if math.Abs(p.Value-want[p.Name]) > 1e-3 {
			t.Errorf("%s: %v, want %v", p.Name, p.Value, want[p.Name])
		}
	}
}

func TestLinkAndDiskAreMeasuredOnTheBox(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	box.WriteFile("/var/lib/rancher/k3s/storage/x", strings.Repeat("x", 50_000), 0o644)
	box.WriteFile("/dev/urandom", strings.Repeat("n", 8<<20), 0o644)
	client := box.Connect(t)
	var h host.Host = client
	disk, err := DiskUse(t.Context(), h)
	if err != nil || disk.Median <= 0 || disk.Parts[0].Value < disk.Median {
		t.Errorf("%+v, %v", disk, err)
	}
	found := false
	for _, p := range disk.Parts {
		found = found || p.Name == "volumes" && p.Value >= 50_000/1e9
	}
	if !found {
		t.Errorf("no volumes among %+v", disk.Parts)
	}
	fsync, err := Fsync(t.Context(), h, 2)
	if err != nil || len(fsync.Samples) != 2 || fsync.Median <= 0 || len(fsync.Parts) != 2 {
		t.Errorf("%+v, %v", fsync, err)
	}
	down, err := measureDown(t.Context(), h, enoughForARow, 1<<20)
	if err != nil || down < 100_000 {
		t.Errorf("%v bytes a second, %v", down, err)
	}
}

func TestNothingIsGuessedWhereKubernetesHasNoGroup(t *testing.T) {
	l := memoryLook{of: map[string]float64{"MemTotal:": 1}}
	if _, err := l.sample(nil, "ssg", "ssg"); err == nil {
		t.Error("a figure without k3s")
	}
	c := &cluster.Cluster{Client: fake.NewClientset(), Namespace: "ssg"}
	if images, err := ImagesOf(t.Context(), c, "ssg"); len(images) != 0 || err != nil {
		t.Errorf("%v, %v", images, err)
	}
}

func TestWhenABoxStartedIsReadFromItsStamps(t *testing.T) {
	s, err := parseStamps([]byte("boot=abc\nuptime=212.50\nwall=1700000212.5\nFirmwareTimestampMonotonic=0\nLoaderTimestampMonotonic=0\nUserspaceTimestampMonotonic=9500000\nk3s=181000000\n"))
	if err != nil || s.boot != "abc" || s.uptime != 212.5 || s.userspace != 9.5 || s.k3s != 181 {
		t.Fatalf("%+v, %v", s, err)
	}
	ready := readyAt{said: metav1.Unix(1700000195, 0).Time, seen: 210}
	if got := ready.at(s); got != 195 {
		t.Errorf("Ready after %v, want 195", got)
	}
	// A clock that was set in between: what was seen counts.
	s.wall += 3600
	if got := ready.at(s); got != 210 {
		t.Errorf("Ready after %v, want 210", got)
	}
	for _, bad := range []string{"", "boot=x\nuptime=-1\n", "boot=x\nuptime=tomorrow\n"} {
		if _, err := parseStamps([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}
