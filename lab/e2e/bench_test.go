//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/omkar619-dev/ssg-bootstrap/lab/link"
)

// measured is the part of a result of bench that the tests look at.
type measured struct {
	Rows []struct {
		Metric, Unit string
		Median       float64
		Samples      []struct {
			Value, Error float64
			Crashes      int
		}
		Failure *struct{ Text, Evidence string }
		Last    *struct {
			Verdict       string
			ChangePercent float64
		}
	}
	Timeline *struct {
		Seconds float64
		Spans   []struct{ Component, Phase string }
	}
	Warnings []string
}

func (m measured) values(metric string) []float64 {
	var out []float64
	for _, r := range m.Rows {
		if r.Metric == metric {
			for _, s := range r.Samples {
				out = append(out, s.Value)
			}
		}
	}
	return out
}

func (m measured) median(metric string) float64 {
	for _, r := range m.Rows {
		if r.Metric == metric {
			return r.Median
		}
	}
	return 0
}

func (m measured) failure(metric string) string {
	for _, r := range m.Rows {
		if r.Metric == metric && r.Failure != nil {
			return r.Failure.Text
		}
	}
	return ""
}

// allMetrics are the rows of a whole measurement of an ordinary release.
func allMetrics() []string {
	return strings.Fields(`rabbitmq-first-boot rabbitmq-later-boot mariadb-primary-first-boot mariadb-primary-later-boot
		mariadb-replica-first-boot mariadb-replica-in-step mariadb-replica-later-boot redis-boot redis-later-boot app-first-boot app-boot
		worker-boot cold-deploy node-boot idle-memory network-bandwidth network-bandwidth-down network-latency disk-used disk-fsync`)
}

// TestBench measures the box and what the measurement does to it. Each part
// stands by itself: on a box that was kept (E2E_KEEP=1) any of them can be run
// alone. Those that take least come first.
func TestBench(t *testing.T) {
	b := newBox(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	b.client.must(t, "install", "--host", hostName)
	parts := []part[func(*testing.T, *box, *figures)]{
		{"timeline", installKeptItsTimeline},
		{"link", twiceTheLinkIsFound},
		{"missing image", aMissingImageLeavesTheOthers},
		{"known delay", aKnownDelayIsFound},
		{"Ctrl-C", ctrlCLeavesNothing},
		{"kill -9", whatIsKilledIsTidiedByTheNext},
		{"every row", everyRowIsFilled},
		{"slowed image", aSlowedImageShows},
		{"power cut", thePowerFailsInBetween},
		{"cut link", aCutLinkIsTidiedByTheNext},
		{"clock", aSetClockChangesNoFigure},
	}
	for _, p := range parts {
		p.timed(t, func(t *testing.T, run func(*testing.T, *box, *figures)) { run(t, b, f) })
	}
}

// measure runs bench and returns what it printed, whatever its exit status is.
func (b *box) measure(t *testing.T, args ...string) (measured, result) {
	t.Helper()
	r := b.client.start(t, nil, append([]string{"bench", "--host", hostName}, args...)...)
	r.wait(t)
	res := r.result(t)
	return parseMeasured(t, res), res
}

func parseMeasured(t *testing.T, res result) measured {
	t.Helper()
	var m measured
	if err := json.Unmarshal(res.Data, &m); err != nil {
		t.Fatalf("%v: %s (%+v)", err, res.Data, res.Error)
	}
	return m
}

// mustMeasure is measure for a measurement without empty rows.
func (b *box) mustMeasure(t *testing.T, args ...string) measured {
	t.Helper()
	m, res := b.measure(t, args...)
	if res.Exit != 0 {
		t.Fatalf("bench %v: exit %d: %+v", args, res.Exit, res.Error)
	}
	return m
}

func installKeptItsTimeline(t *testing.T, b *box, f *figures) {
	kept, err := filepath.Glob(filepath.Join(b.client.home, ".local", "state", "ssg-bootstrap", hostName, "bench", "*-install.json"))
	if len(kept) == 0 && os.Getenv(keepVariable) != "" {
		t.Skip("the application was there already")
	}
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept: %v, %v", kept, err)
	}
	text, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	var m measured
	if err := json.Unmarshal(text, &m); err != nil || m.Timeline == nil || len(m.Timeline.Spans) < 12 || m.Timeline.Seconds <= 0 {
		t.Fatalf("%v: %s", err, text)
	}
	f.add(t, "first deployment, by Kubernetes' word", "%.0f s from the first pod to the last Ready", m.Timeline.Seconds)
	// What has nothing to deploy keeps nothing, and sends nothing for it.
	b.client.must(t, "install", "--host", hostName)
	if again, err := filepath.Glob(filepath.Join(filepath.Dir(kept[0]), "*.json")); err != nil || len(again) != 1 {
		t.Errorf("a second run kept another: %v, %v", again, err)
	}
}

// plant brings an image to the box that is another one with a program of its
// own in front, and returns its tag. layers may be nil.
func (b *box) plant(t *testing.T, from, repository, tag string, layers []v1.Layer, entrypoint ...string) {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(b.registry, "http://")+"/"+from, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layers...); err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	changed := config.Config
	changed.Entrypoint = append(entrypoint, config.Config.Entrypoint...)
	if image, err = mutate.Config(image, changed); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	whole := "docker.io/" + repository + ":" + tag
	if err := path.AppendImage(image, layout.WithAnnotations(map[string]string{"io.containerd.image.name": whole})); err != nil {
		t.Fatal(err)
	}
	b.client.must(t, "images", "import", "--host", hostName, "--from", "oci:"+dir, "--image", whole)
}

// redisProfile is the reference with another image for Redis, of which
// Kubernetes hears soon that it is there: what is timed does not depend on the
// probes, but how long the test takes does.
func (b *box) redisProfile(t *testing.T, tag string) string {
	t.Helper()
	return ownProfile(t, b.client, "redis-"+tag, `description: The reference with another Redis.
extends: core2duo-4gb
chart:
  values:
    redis:
      image: {tag: `+tag+`}
      probes:
        startup: {periodSeconds: 1}
        readiness: {periodSeconds: 1}
`)
}

// lateProgram is built for the box and put into a layer of its own.
func lateProgram(t *testing.T) v1.Layer {
	t.Helper()
	program := filepath.Join(t.TempDir(), "late")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./late")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build late: %v\n%s", err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err = errors.Join(w.WriteHeader(&tar.Header{Name: "late", Mode: 0o755, Size: int64(len(text))}), func() error { _, err := w.Write(text); return err }(), w.Close())
	if err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

const (
	redisImage   = "library/redis"
	agreementFor = 20
	// clockTick is what /proc/uptime is exact to.
	clockTick = 0.01
)

func aKnownDelayIsFound(t *testing.T, b *box, f *figures) {
	b.plant(t, redisImage+":7-alpine", redisImage, "known", []v1.Layer{lateProgram(t)}, "/late", "1s", "/data/truth")
	// The volume goes with the namespace, so what is in it is copied on the way.
	b.root(t, `rm -f /root/e2e-truth; systemctl stop e2e-truth 2>/dev/null || :
systemd-run --quiet --collect --unit=e2e-truth sh -c 'while sleep 2; do cp -f /var/lib/rancher/k3s/storage/*_ssg-bench_data-redis-0/truth /root/e2e-truth 2>/dev/null; done'`)
	m := b.mustMeasure(t, "--only", "redis-later-boot", "--runs", fmt.Sprint(agreementFor), "--profile", b.redisProfile(t, "known"))
	truth := strings.Split(strings.TrimSpace(b.root(t, "systemctl stop e2e-truth; cat /root/e2e-truth")), "\n")
	got := m.values("redis-later-boot")
	if len(got) != agreementFor || len(truth) != agreementFor+1 {
		t.Fatalf("%d boots were timed, %d took place:\n%s", len(got), len(truth), strings.Join(truth, "\n"))
	}
	worst, sum := 0.0, 0.0
	for i, v := range got {
		var began, listens float64
		// The first line is the boot that made the volume.
		if _, err := fmt.Sscan(truth[i+1], &began, &listens); err != nil {
			t.Fatalf("%v: %q", err, truth[i+1])
		}
		off := v - (listens - began)
		worst, sum = max(worst, math.Abs(off)), sum+off
		if math.Abs(off) > 0.2+clockTick {
			t.Errorf("run %d: timed as %.3f s, took %.3f s", i+1, v, listens-began)
		}
	}
	f.add(t, "agreement of a timed boot with the truth", "worst %.0f ms of %d runs, mean %+.0f ms (goal: 200)", worst*1000, len(got), sum/float64(len(got))*1000)
}

func aSlowedImageShows(t *testing.T, b *box, f *figures) {
	b.plant(t, redisImage+":7-alpine", redisImage, "slowed", nil, "sh", "-c", `sleep 5; exec "$@"`, "sh")
	b.plant(t, redisImage+":7-alpine", redisImage, "plain", nil)
	rows := []string{"redis-later-boot", "worker-boot"}
	only := strings.Join(rows, ",")
	plain := b.mustMeasure(t, "--only", only, "--profile", b.redisProfile(t, "plain"))
	slowed := b.mustMeasure(t, "--only", only, "--profile", b.redisProfile(t, "slowed"))
	for _, row := range rows {
		more := slowed.median(row) - plain.median(row)
		f.add(t, row+", Redis slowed by 5 s", "%.2f s, was %.2f s: %+.2f s", slowed.median(row), plain.median(row), more)
		if is := strings.HasPrefix(row, "redis-"); is && math.Abs(more-5) > 0.5 || !is && math.Abs(more) > 2.5 {
			t.Errorf("%s: %+.2f s", row, more)
		}
	}
	for _, r := range slowed.Rows {
		if r.Metric == "redis-later-boot" && (r.Last == nil || r.Last.Verdict != "worse") {
			t.Errorf("redis-later-boot is not called worse: %+v", r.Last)
		}
	}
}

func twiceTheLinkIsFound(t *testing.T, b *box, f *figures) {
	defer b.link.SetRate(0)
	ways := []string{"network-bandwidth", "network-bandwidth-down"}
	var seen []measured
	for _, rate := range []link.BitRate{2_000_000, 4_000_000} {
		b.link.SetRate(rate)
		seen = append(seen, b.mustMeasure(t, "--only", strings.Join(ways, ",")))
	}
	for _, way := range ways {
		slow, fast := seen[0].median(way), seen[1].median(way)
		f.add(t, way+" at 2 and at 4 Mbit/s", "%.2f and %.2f Mbit/s: %.2f times", slow, fast, fast/slow)
		if ratio := fast / slow; ratio < 1.8 || ratio > 2.2 || math.Abs(slow-2) > 0.3 {
			t.Errorf("%s: %v and %v", way, slow, fast)
		}
	}
}

func aMissingImageLeavesTheOthers(t *testing.T, b *box, _ *figures) {
	m, res := b.measure(t, "--only", "redis-boot,app-boot,disk-fsync", "--runs", "1", "--profile", b.redisProfile(t, "nobody-has-this"))
	if res.Exit != 1 || res.Error == nil || res.Error.Code != "bench-incomplete" || res.Error.Next == "" {
		t.Errorf("exit %d, %+v", res.Exit, res.Error)
	}
	if text := m.failure("redis-boot"); !strings.Contains(text, "has no image") {
		t.Errorf("redis-boot says %q", text)
	}
	if text := m.failure("app-boot"); !strings.Contains(text, "needs redis") {
		t.Errorf("app-boot says %q", text)
	}
	if len(m.values("disk-fsync")) != 1 {
		t.Errorf("disk-fsync has no figure: %q", m.failure("disk-fsync"))
	}
	b.nothingOfBenchIsLeft(t)
}

func aSetClockChangesNoFigure(t *testing.T, b *box, f *figures) {
	// Half an hour ahead while the first of three boots is under way, and back
	// whatever happens.
	set := make(chan struct{})
	once := false
	r := b.client.start(t, func(e event) {
		if !once && strings.Contains(e.Text, "redis: further boot 1") {
			once = true
			close(set)
		}
	}, "bench", "--host", hostName, "--only", "redis-later-boot")
	select {
	case <-set:
	case <-r.done:
		t.Fatalf("it ended before a further boot\n%s", r.log())
	}
	b.root(t, "date -s '+30 min' >/dev/null")
	exit := r.wait(t)
	b.root(t, "date -s '-30 min' >/dev/null")
	m := parseMeasured(t, r.result(t))
	got := m.values("redis-later-boot")
	f.add(t, "redis-later-boot, the clock set in the first of three", "%.2f s", got)
	if exit != 0 || len(got) != 3 || slices.Max(got)-slices.Min(got) > 2 {
		t.Errorf("exit %d, %.2f s\n%s", exit, got, r.log())
	}
	if !slices.ContainsFunc(m.Warnings, func(w string) bool { return strings.Contains(w, "clock was moved") }) {
		t.Errorf("nothing is said of the clock: %q", m.Warnings)
	}
}

// fingerprint is what must not change of the release: its pods, its containers
// with their restarts, and its data. Pods that the autoscaler added or took
// away are not the measurement's doing, so each component counts by its oldest.
func (b *box) fingerprint(t *testing.T) (pods, containers, data string) {
	t.Helper()
	eventually(t, "application that serves", func(context.Context) (bool, string) {
		up := b.pods(t)
		for _, component := range applicationPods() {
			if p := up[component]; len(p.Status.ContainerStatuses) != 1 || !p.Status.ContainerStatuses[0].Ready {
				return false, component + " is not Ready"
			}
		}
		return true, ""
	})
	var uids, ids []string
	for component, p := range b.pods(t) {
		if component == "app" {
			continue // below
		}
		uids = append(uids, component+" "+p.Metadata.UID)
		for _, c := range p.Status.ContainerStatuses {
			ids = append(ids, fmt.Sprintf("%s %d %s", component, c.RestartCount, c.ContainerID))
		}
	}
	slices.Sort(uids)
	slices.Sort(ids)
	const oldest = ` get pods -l app.kubernetes.io/component=app --sort-by=.metadata.creationTimestamp -o jsonpath='{.items[0].metadata.uid} {.items[0].status.containerStatuses[0].restartCount} {.items[0].status.containerStatuses[0].containerID}'`
	app := strings.Fields(b.root(t, "k3s kubectl -n "+namespace+oldest))
	if len(app) != 3 || len(uids) != len(applicationPods())-1 {
		t.Fatalf("the release has pods %v and %v", uids, app)
	}
	return strings.Join(append(uids, "app "+app[0]), "\n"), strings.Join(append(ids, strings.Join(app, " ")), "\n"), b.root(t, sums)
}

// sums prints a checksum of each database. One that does not answer, as after a
// restart of the box, is asked again.
const sums = `dump() {
	k3s kubectl -n ` + namespace + ` exec "$1" -c mariadb -- sh -c 'mariadb-dump --no-defaults --socket=/run/mysqld/mysqld.sock --user="$(id -un)" --skip-comments --skip-dump-date "$DB_NAME"'
}
for pod in mysql-primary-0 mysql-replica-0; do
	n=0
	until dump "$pod" >/run/e2e-dump && [ -s /run/e2e-dump ]; do
		[ $((n += 1)) -lt 20 ] || exit 1
		sleep 5
	done
	sha256sum </run/e2e-dump
done
rm -f /run/e2e-dump`

const leftovers = `k3s kubectl get namespace ssg-bench -o name 2>/dev/null
k3s kubectl get pv -o jsonpath='{range .items[?(@.spec.claimRef.namespace=="ssg-bench")]}{.metadata.name}{"\n"}{end}'
ls -d /var/lib/rancher/k3s/storage/*_ssg-bench_* /run/ssg-bootstrap/bench /var/lib/ssg-bootstrap/bench 2>/dev/null
systemctl is-active --quiet ssg-bootstrap-bench && echo observer
:`

func (b *box) nothingOfBenchIsLeft(t *testing.T) {
	t.Helper()
	if left := strings.TrimSpace(b.root(t, leftovers)); left != "" {
		t.Errorf("bench left:\n%s", left)
	}
}

// inTheMiddle runs bench until a boot in the scratch namespace is under way.
func (b *box) inTheMiddle(t *testing.T) *run {
	t.Helper()
	begun := make(chan struct{})
	once := false
	r := b.client.start(t, func(e event) {
		if !once && strings.Contains(e.Text, "rabbitmq: first boot") {
			once = true
			close(begun)
		}
	}, "bench", "--host", hostName, "--only", "rabbitmq-first-boot,app-boot", "--runs", "1")
	select {
	case <-begun:
	case <-r.done:
		t.Fatalf("it ended before a boot\n%s", r.log())
	}
	pause(t, 5*time.Second)
	return r
}

// unchanged fails the test if the release is another one afterwards.
func (b *box) unchanged(t *testing.T, measure func()) {
	t.Helper()
	pods, containers, data := b.fingerprint(t)
	measure()
	nowPods, nowContainers, nowData := b.fingerprint(t)
	before, after := pods+"\n"+containers+"\n"+data, nowPods+"\n"+nowContainers+"\n"+nowData
	if before != after {
		t.Errorf("the release is another one:\n%s", lineDiff(before, after))
	}
}

func ctrlCLeavesNothing(t *testing.T, b *box, f *figures) {
	b.unchanged(t, func() {
		r := b.inTheMiddle(t)
		begin := time.Now()
		if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if exit := r.wait(t); exit != 130 {
			t.Errorf("exit %d\n%s", exit, r.log())
		}
		f.add(t, "bench, from Ctrl-C to tidied up", "%s", seconds(time.Since(begin)))
		b.nothingOfBenchIsLeft(t)
	})
}

func whatIsKilledIsTidiedByTheNext(t *testing.T, b *box, f *figures) {
	b.unchanged(t, func() {
		b.inTheMiddle(t).kill(t)
		status := b.client.must(t, "status", "--host", hostName)
		if text := string(status.result(t).Data); !strings.Contains(text, `"bench":{"holder":`) {
			t.Errorf("status says nothing of it: %s", text)
		}
		plan := b.client.must(t, "plan", "--host", hostName)
		if !strings.Contains(plan.log(), "left its scratch namespace") {
			t.Errorf("plan says nothing of it: %s", plan.log())
		}
		install := b.client.must(t, "install", "--host", hostName)
		if !strings.Contains(install.log(), "bench had left was removed") {
			t.Errorf("install removed nothing: %s", install.log())
		}
		f.add(t, "install, with what a killed bench left", "%s", seconds(install.took))
		b.nothingOfBenchIsLeft(t)
	})
}

func aCutLinkIsTidiedByTheNext(t *testing.T, b *box, _ *figures) {
	b.unchanged(t, func() {
		r := b.inTheMiddle(t)
		b.link.Cut()
		exit := r.wait(t)
		b.link.Restore()
		if res := r.result(t); exit != 1 || res.Error == nil || res.Error.Code != "link-lost" {
			t.Errorf("exit %d: %+v\n%s", exit, res.Error, r.log())
		}
		b.client.must(t, "bench", "--host", hostName, "--clean")
		b.nothingOfBenchIsLeft(t)
	})
}

func everyRowIsFilled(t *testing.T, b *box, f *figures) {
	pods, _, data := b.fingerprint(t)
	page := filepath.Join(b.client.home, "bench.html")
	r := b.client.start(t, nil, "bench", "--host", hostName, "--runs", "1", "--reboot", "--yes", "--html", page)
	cost := b.observerCost(t, r)
	if exit := r.wait(t); exit != 0 {
		t.Errorf("exit %d\n%s", exit, r.log())
	}
	m := parseMeasured(t, r.result(t))
	for _, metric := range allMetrics() {
		got := m.values(metric)
		if len(got) == 0 || slices.Min(got) <= 0 {
			t.Errorf("%s is empty: %v %q", metric, got, m.failure(metric))
			continue
		}
		f.add(t, "  "+metric, "%.3g", got)
	}
	f.add(t, "the observer's own cost", "%.2f %% of the CPU over %.0f s, %s of memory (goals: 2 %%, 20 MB)", cost.percent, cost.over, megabytes(cost.memory))
	if cost.over < 60 || cost.percent >= 2 || cost.memory == 0 || cost.memory >= 20_000_000 {
		t.Errorf("the observer takes %+v", cost)
	}
	if m.Timeline == nil || len(m.Timeline.Spans) < 12 {
		t.Errorf("timeline: %+v", m.Timeline)
	}
	if info, err := os.Stat(page); err != nil || info.Size() < 10_000 {
		t.Errorf("the page: %v", err)
	}
	b.nothingOfBenchIsLeft(t)
	// The restart of the box made new containers of the same pods.
	if nowPods, _, nowData := b.fingerprint(t); nowPods+nowData != pods+data {
		t.Errorf("the release is another one:\n%s", lineDiff(pods+"\n"+data, nowPods+"\n"+nowData))
	}
}

// observerCost is what the observer took in all the time that it ran.
type observerCost struct {
	percent, over float64
	memory        int64
}

// costScript prints what the observer's unit is since when, what it took of the
// CPU in µs and of memory at most, and what time it is.
const costScript = `cd /sys/fs/cgroup/system.slice/ssg-bootstrap-bench.service || exit 1
systemctl show ssg-bootstrap-bench -p ActiveEnterTimestampMonotonic --value
awk '$1 == "usage_usec" { print $2 }' cpu.stat
cat memory.peak
cut -d ' ' -f 1 /proc/uptime`

// observerCost asks while the run lasts, because a unit that has ended says
// nothing. All CPU time counts, the start of the program too.
func (b *box) observerCost(t *testing.T, r *run) observerCost {
	t.Helper()
	var c observerCost
	for {
		select {
		case <-r.done:
			return c
		case <-time.After(20 * time.Second):
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := b.guest.RunRoot(ctx, costScript)
		cancel()
		var entered, cpu, up float64
		var memory int64
		if err != nil {
			continue // it does not run, or the box restarts
		}
		if _, err := fmt.Sscan(string(out), &entered, &cpu, &memory, &up); err != nil {
			continue // it ended just now
		}
		if over := up - entered/1e6; over > c.over {
			const cores = 2
			c.over, c.percent = over, cpu/1e6/over/cores*100
		}
		c.memory = max(c.memory, memory)
	}
}

func thePowerFailsInBetween(t *testing.T, b *box, _ *figures) {
	r := b.inTheMiddle(t)
	if err := b.guest.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.guest.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	exit := r.wait(t)
	if res := r.result(t); exit == 0 || res.Error == nil || res.Error.Next == "" {
		t.Errorf("exit %d: %+v\n%s", exit, res.Error, r.log())
	}
	b.client.must(t, "install", "--host", hostName) // waits for the cluster
	b.client.must(t, "bench", "--host", hostName, "--clean")
	b.nothingOfBenchIsLeft(t)
}
