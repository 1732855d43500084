//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

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
			Noise        *struct{ ObserverPercent float64 }
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

// TestBench measures the box and what the measurement does to it.
func TestBench(t *testing.T) {
	b := newBox(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	b.client.must(t, "install", "--host", hostName)
	parts := []struct {
		name string
		run  func(*testing.T, *box, *figures)
	}{
		{"the installation kept its timeline", installKeptItsTimeline},
		{"a known delay is found within 200 ms, twenty times", aKnownDelayIsFound},
		{"an image slowed by 5 s shows in its rows alone", aSlowedImageShows},
		{"twice the link's speed is found", twiceTheLinkIsFound},
		{"a missing image leaves the other rows", aMissingImageLeavesTheOthers},
		{"a clock that is set changes no figure", aSetClockChangesNoFigure},
		{"stopped, cut off and killed, nothing is left", brokenOffNothingIsLeft},
		{"every row is filled, and the release is what it was", everyRowIsFilled},
		{"the power fails in between", thePowerFailsInBetween},
	}
	for _, part := range parts {
		if !t.Run(part.name, func(t *testing.T) {
			begin := time.Now()
			part.run(t, b, f)
			t.Logf("took %s", seconds(time.Since(begin)))
		}) {
			t.FailNow()
		}
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
}

// plant brings an image to the box that is another one with a program of its
// own in front, and returns its tag.
func (b *box) plant(t *testing.T, from, repository, tag string, entrypoint ...string) {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(b.registry, "http://")+"/"+from, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
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

// redisProfile is the reference with another image for Redis.
func (b *box) redisProfile(t *testing.T, tag string) string {
	t.Helper()
	return ownProfile(t, b.client, "redis-"+tag, "description: The reference with another Redis.\nextends: core2duo-4gb\nchart:\n  values:\n    redis:\n      image: {tag: "+tag+"}\n")
}

// knownDelay waits for three seconds and then answers as Redis does. It writes
// into its volume when it began and when it was about to listen: what is known
// of a delay must not be taken from the sleep alone, for on this box a process
// takes a while to start.
const knownDelay = `trap 'exit 0' TERM
read -r began rest </proc/uptime
sleep 3
read -r listens rest </proc/uptime
echo "$began $listens" >>/data/truth
while :; do printf '+PONG\r\n' | nc -l -p 6379 & wait $!; done`

const (
	redisImage   = "library/redis"
	agreementFor = 20
)

func aKnownDelayIsFound(t *testing.T, b *box, f *figures) {
	b.plant(t, appRepository+":latest", redisImage, "known", "sh", "-c", knownDelay, "sh")
	// The volume goes with the namespace, so what is in it is copied on the way.
	b.root(t, `systemd-run --quiet --collect --unit=e2e-truth sh -c 'while sleep 1; do cp -f /var/lib/rancher/k3s/storage/*_ssg-bench_data-redis-0/truth /root/e2e-truth 2>/dev/null; done'`)
	m := b.mustMeasure(t, "--only", "redis-later-boot", "--runs", fmt.Sprint(agreementFor), "--profile", b.redisProfile(t, "known"))
	truth := strings.Split(strings.TrimSpace(b.root(t, "systemctl stop e2e-truth; cat /root/e2e-truth")), "\n")
	got := m.values("redis-later-boot")
	if len(got) != agreementFor || len(truth) != agreementFor+1 {
		t.Fatalf("%d boots were timed, %d took place", len(got), len(truth))
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
		if math.Abs(off) > 0.2 {
			t.Errorf("run %d: timed as %.3f s, took %.3f s", i+1, v, listens-began)
		}
	}
	f.add(t, "agreement of a timed boot with the truth", "worst %.0f ms of %d runs, mean %+.0f ms (goal: 200)", worst*1000, len(got), sum/float64(len(got))*1000)
}

func aSlowedImageShows(t *testing.T, b *box, f *figures) {
	b.plant(t, redisImage+":7-alpine", redisImage, "slowed", "sh", "-c", `sleep 5; exec "$@"`, "sh")
	rows := []string{"redis-boot", "redis-later-boot", "rabbitmq-later-boot", "worker-boot"}
	only := strings.Join(rows, ",")
	plain := b.mustMeasure(t, "--only", only)
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
	for _, metric := range []string{"network-bandwidth", "network-bandwidth-down"} {
		var got []float64
		for _, rate := range []link.BitRate{2_000_000, 4_000_000} {
			b.link.SetRate(rate)
			got = append(got, b.mustMeasure(t, "--only", metric).median(metric))
		}
		f.add(t, metric+" at 2 and at 4 Mbit/s", "%.2f and %.2f Mbit/s: %.2f times", got[0], got[1], got[1]/got[0])
		if ratio := got[1] / got[0]; ratio < 1.8 || ratio > 2.2 || math.Abs(got[0]-2) > 0.3 {
			t.Errorf("%s: %v", metric, got)
		}
	}
}

func aMissingImageLeavesTheOthers(t *testing.T, b *box, _ *figures) {
	m, res := b.measure(t, "--only", "redis-boot,app-boot,worker-boot", "--runs", "1", "--profile", b.redisProfile(t, "nobody-has-this"))
	if res.Exit != 1 || res.Error == nil || res.Error.Code != "bench-incomplete" || res.Error.Next == "" {
		t.Errorf("exit %d, %+v", res.Exit, res.Error)
	}
	if text := m.failure("redis-boot"); !strings.Contains(text, "has no image") {
		t.Errorf("redis-boot says %q", text)
	}
	if text := m.failure("app-boot"); !strings.Contains(text, "needs redis") {
		t.Errorf("app-boot says %q", text)
	}
	if len(m.values("worker-boot")) != 1 {
		t.Errorf("worker-boot has no figure: %q", m.failure("worker-boot"))
	}
	b.nothingOfBenchIsLeft(t)
}

func aSetClockChangesNoFigure(t *testing.T, b *box, f *figures) {
	before := b.mustMeasure(t, "--only", "redis-later-boot").median("redis-later-boot")
	// Half an hour ahead as soon as boots begin, and back at the end.
	set := make(chan struct{})
	once := false
	r := b.client.start(t, func(e event) {
		if !once && strings.Contains(e.Text, "redis: further boot") {
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
	after := m.median("redis-later-boot")
	f.add(t, "redis-later-boot while the clock is set", "%.2f s, otherwise %.2f s", after, before)
	if exit != 0 || math.Abs(after-before) > 2 || !slices.ContainsFunc(m.Warnings, func(w string) bool { return strings.Contains(w, "clock was moved") }) {
		t.Errorf("exit %d, %.2f s after %.2f s, warnings %q\n%s", exit, after, before, m.Warnings, r.log())
	}
}

// fingerprint is what must not change of the release: its containers and its
// pods with their restarts, and its data.
func (b *box) fingerprint(t *testing.T) string {
	t.Helper()
	var out []string
	for component, p := range b.pods(t) {
		for _, c := range p.Status.ContainerStatuses {
			out = append(out, fmt.Sprintf("%s %s %d %s", component, p.Metadata.UID, c.RestartCount, c.ContainerID))
		}
	}
	slices.Sort(out)
	sums := b.root(t, `for pod in mysql-primary-0 mysql-replica-0; do
  k3s kubectl -n `+namespace+` exec "$pod" -c mariadb -- sh -c 'mariadb-dump --no-defaults --socket=/run/mysqld/mysqld.sock --user="$(id -un)" --skip-comments --skip-dump-date "$DB_NAME"' | sha256sum
done`)
	return strings.Join(out, "\n") + "\n" + sums
}

const leftovers = `k3s kubectl get namespace ssg-bench -o name 2>/dev/null
k3s kubectl get pv -o jsonpath='{range .items[?(@.spec.claimRef.namespace=="ssg-bench")]}{.metadata.name}{"\n"}{end}'
ls -d /var/lib/rancher/k3s/storage/*_ssg-bench_* /run/ssg-bootstrap/bench 2>/dev/null
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
	pause(t, 15*time.Second)
	return r
}

func brokenOffNothingIsLeft(t *testing.T, b *box, f *figures) {
	before := b.fingerprint(t)
	t.Run("Ctrl-C", func(t *testing.T) {
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
	t.Run("a cut link", func(t *testing.T) {
		r := b.inTheMiddle(t)
		b.link.Cut()
		exit := r.wait(t)
		b.link.Restore()
		if res := r.result(t); exit != 1 || res.Error == nil || res.Error.Code != "link-lost" && res.Error.Code != "unreachable" {
			t.Errorf("exit %d: %+v\n%s", exit, res.Error, r.log())
		}
		b.client.must(t, "bench", "--host", hostName, "--clean")
		b.nothingOfBenchIsLeft(t)
	})
	t.Run("kill -9", func(t *testing.T) {
		b.inTheMiddle(t).kill(t)
		status := b.client.must(t, "status", "--host", hostName)
		if text := string(status.result(t).Data); !strings.Contains(text, `"bench":{"holder":`) {
			t.Errorf("status says nothing of it: %s", text)
		}
		doctor := b.client.must(t, "doctor", "--host", hostName, "--no-disk")
		if text := string(doctor.result(t).Data); !strings.Contains(text, "was removed") {
			t.Errorf("doctor removed nothing: %s", text)
		}
		b.nothingOfBenchIsLeft(t)
	})
	if after := b.fingerprint(t); after != before {
		t.Errorf("the release is another one:\n%s", lineDiff(before, after))
	}
}

func everyRowIsFilled(t *testing.T, b *box, f *figures) {
	before := b.fingerprint(t)
	page := filepath.Join(b.client.home, "bench.html")
	r := b.client.start(t, nil, "bench", "--host", hostName, "--reboot", "--yes", "--html", page)
	// The observer's own memory is only known while it runs.
	peak := ""
	for running := true; running; {
		select {
		case <-r.done:
			running = false
		case <-time.After(20 * time.Second):
			if out, err := b.guest.RunRoot(t.Context(), "systemctl show ssg-bootstrap-bench -p MemoryPeak --value"); err == nil {
				if v := strings.TrimSpace(string(out)); v != "" && v != "[not set]" {
					peak = v
				}
			}
		}
	}
	m := parseMeasured(t, r.result(t))
	busiest := 0.0
	for _, metric := range allMetrics() {
		got := m.values(metric)
		if len(got) == 0 || slices.Min(got) <= 0 {
			t.Errorf("%s is empty: %v %q", metric, got, m.failure(metric))
			continue
		}
		f.add(t, "  "+metric, "%.3g (%d runs)", m.median(metric), len(got))
	}
	for _, row := range m.Rows {
		for _, s := range row.Samples {
			if s.Noise != nil {
				busiest = max(busiest, s.Noise.ObserverPercent)
			}
		}
	}
	var bytes int64
	if _, err := fmt.Sscan(peak, &bytes); err != nil {
		t.Errorf("the observer's memory: %q", peak)
	}
	f.add(t, "the observer's own cost", "%.2f %% of the CPU at most, %s of memory (goals: 2 %%, 20 MB)", busiest, megabytes(bytes))
	if busiest >= 2 || bytes >= 20_000_000 {
		t.Errorf("the observer takes %.2f %% and %d bytes", busiest, bytes)
	}
	if m.Timeline == nil || len(m.Timeline.Spans) < 12 {
		t.Errorf("timeline: %+v", m.Timeline)
	}
	if info, err := os.Stat(page); err != nil || info.Size() < 10_000 {
		t.Errorf("the page: %v", err)
	}
	b.nothingOfBenchIsLeft(t)
	// A restart of the box makes new containers of the same pods.
	pods := func(text string) []string {
		var out []string
		for line := range strings.Lines(text) {
			out = append(out, strings.Join(strings.Fields(line)[:2], " "))
		}
		return out
	}
	if after := b.fingerprint(t); !slices.Equal(pods(before), pods(after)) {
		t.Errorf("the release is another one:\n%s", lineDiff(before, after))
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
