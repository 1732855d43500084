package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

func sample(values ...float64) []Sample {
	var out []Sample
	for _, v := range values {
		out = append(out, Sample{Value: v, Error: 0.2, Noise: &Noise{Load: 0.4}})
	}
	return out
}

func rowWith(m Metric, method string, samples ...Sample) Row {
	r := NewRow(m, method)
	for _, s := range samples {
		r.Add(s)
	}
	return r
}

// example is a result with every kind of row: better, as documented, worse,
// without a documented figure, and not measured.
func example(t *testing.T) Result {
	t.Helper()
	p, err := profiles.Load("core2duo-4gb")
	if err != nil {
		t.Fatal(err)
	}
	believed := 60.0
	rabbit := sample(53.4)
	rabbit[0].Kubelet, rabbit[0].Probe = &believed, 10
	broken := NewRow(PrimaryLater, MethodAlone)
	broken.Fail("mysql-primary has no image: the box lacks docker.io/library/mariadb:11.8", "mysql-primary-0/mariadb waits: ImagePullBackOff: <not here>")
	memory := rowWith(IdleMemory, MethodDirect, sample(1.012, 1.019, 1.008)...)
	memory.Parts = []Part{{"k3s, containerd and shims (cgroup)", 0.61, Gigabytes}, {"pod rabbitmq-0", 0.12, Gigabytes}}
	disk := rowWith(DiskUsed, MethodDirect, Sample{Value: 6.2})
	disk.Parts = []Part{{"of", 465, Gigabytes}, {"images", 1.9, Gigabytes}}
	r := Result{
		Format: Format, Kind: KindBench, Host: "oldpc", Started: time.Date(2026, 5, 3, 14, 30, 0, 0, time.UTC), Took: 912,
		Box:      Box{Name: "oldpc", CPU: "Intel(R) Core(TM)2 Duo CPU     E8400  @ 3.00GHz", Cores: 2, MemoryBytes: 4 << 30, Kernel: "6.12.0", Distribution: "Debian GNU/Linux 13"},
		Versions: Versions{Tool: "v1.0.0", Profile: "core2duo-4gb", K3s: "v1.36.4+k3s1", Runtime: "containerd://2.3.4"},
		Rows: []Row{
			rowWith(RabbitMQFirst, MethodAlone, rabbit...), rowWith(RabbitMQLater, MethodAlone, sample(50.1, 55.9, 52)...),
			rowWith(PrimaryFirst, MethodAlone, sample(131)...), broken, rowWith(ReplicaFirst, MethodAlone, sample(88)...),
			rowWith(RedisFirst, MethodAlone, sample(1.21, 1.24, 1.33)...), rowWith(AppBoot, MethodAlone, sample(0.842, 0.851, 0.913)...),
			rowWith(ColdDeploy, MethodScratch, sample(201)...), memory, rowWith(LinkUp, MethodLink, sample(1.94, 1.96, 1.95)...), disk,
		},
		Timeline: exampleTimeline(),
		Warnings: []string{"RabbitMQ, later boots: the box was busy (load 3.1 on 2 cores)"},
	}
	r.Document(p.Documented, []profiles.Documented{{Metric: string(RabbitMQLater), Value: 48, Unit: "s"}})
	return r
}

func exampleTimeline() *Timeline {
	t := &Timeline{Method: MethodSeen, Seconds: 201}
	for _, p := range []podTimes{
		{component: "redis", started: 14, serves: 16, ready: 21}, {component: "rabbitmq", started: 15, serves: 92, ready: 96},
		{component: "mysql-primary", started: 14.5, serves: 120, ready: 125}, {component: "mysql-replica", started: 15, serves: 131, ready: 160},
		{component: "app", inits: []Span{{Phase: PhaseInit, Name: "wait-for-mysql-primary", From: 12, To: 121}, {Phase: PhaseInit, Name: "wait-for-mysql-replica", From: 123, To: 133}}, started: 196, serves: 197, ready: 201},
	} {
		t.Spans = append(t.Spans, p.spans()...)
	}
	t.sort()
	return t
}

func earlier(t *testing.T) Result {
	r := example(t)
	r.Started = r.Started.Add(-24 * time.Hour)
	for i := range r.Rows {
		for j := range r.Rows[i].Samples {
			r.Rows[i].Samples[j].Value *= 1.2
		}
		again := r.Rows[i].Samples
		r.Rows[i].Samples = nil
		for _, s := range again {
			r.Rows[i].Add(s)
		}
	}
	return r
}

func TestTheTableRendered(t *testing.T) {
	r := example(t)
	r.Compare(earlier(t))
	for name, width := range map[string]int{"table-80.txt": 80, "table-64.txt": 64} {
		var b bytes.Buffer
		if err := r.WriteTable(&b, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if w := runewidth.StringWidth(strings.TrimRight(line, "\n")); w > width && !strings.Contains(line, "|") {
				t.Errorf("%d columns in %d: %s", w, width, line)
			}
		}
		goldentest.Equal(t, filepath.Join("testdata", name), b.String())
	}
}

func TestTheMarkdownRendered(t *testing.T) {
	var b bytes.Buffer
	if err := example(t).WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	goldentest.Equal(t, "testdata/table.md", b.String())
}

func TestThePageRendered(t *testing.T) {
	r := example(t)
	page, err := r.HTML([]Result{earlier(t)})
	if err != nil {
		t.Fatal(err)
	}
	goldentest.Equal(t, "testdata/page.html", string(page))
	if regexp.MustCompile(`(src|href)=|@import|url\(|ZgotmplZ|NaN|Inf`).Match(page) {
		t.Error("the page is broken, or needs something from elsewhere")
	}
	if strings.Contains(string(page), "<not here>") {
		t.Error("the box's words are not escaped")
	}
}

func TestTheShippedSchemaIsThatOfTheTypes(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "docs", "schema", SchemaFile))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/schema/%s is not that of the types (%v): run `make generate`", SchemaFile, err)
	}
}

func TestResultsAreKeptAndFoundAgain(t *testing.T) {
	s := NewStore(filepath.Join(t.TempDir(), "bench"))
	if all, err := s.All(); len(all) != 0 || err != nil {
		t.Fatalf("%d results, %v", len(all), err)
	}
	r := example(t)
	path, err := s.Save(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(earlier(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "x.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := s.All()
	if err != nil || len(all) != 2 || !all[0].Started.Before(all[1].Started) {
		t.Fatalf("%d results, %v", len(all), err)
	}
}

// TestEachRowIsComparedWithItsOwnLastFigures measures other rows in between, in
// another way, and by an installation.
func TestEachRowIsComparedWithItsOwnLastFigures(t *testing.T) {
	day := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	measured := func(k Kind, days int, m Metric, method string, v ...float64) Result {
		r := Result{Format: Format, Kind: k, Host: "oldpc", Started: day.AddDate(0, 0, days)}
		row := NewRow(m, method)
		for _, x := range v {
			row.Add(Sample{Value: x})
		}
		r.Rows = []Row{row}
		return r
	}
	past := []Result{
		measured(KindBench, 0, RedisLater, MethodAlone, 9, 9, 9),
		measured(KindBench, 1, RedisLater, MethodAlone, 1, 1.1, 1.2),
		measured(KindBench, 2, LinkUp, MethodLink, 2),
		measured(KindBench, 3, RedisLater, MethodRelease, 50, 51, 52),
		measured(KindInstall, 4, RedisLater, MethodAlone, 70, 71, 72),
		measured(KindBench, 9, RedisLater, MethodAlone, 80, 81, 82), // later than what is compared
	}
	r := measured(KindBench, 5, RedisLater, MethodAlone, 6, 6.1, 6.2)
	r.CompareWithLast(past)
	if last := r.Rows[0].Last; last == nil || last.Median != 1.1 || last.Verdict != Worse {
		t.Errorf("compared with %+v", last)
	}
	r = measured(KindBench, 5, AppBoot, MethodAlone, 6)
	r.CompareWithLast(past)
	if r.Rows[0].Last != nil {
		t.Errorf("what was never measured is compared with %+v", r.Rows[0].Last)
	}
}

func TestWhatIsNoResultIsRefused(t *testing.T) {
	kept, err := json.Marshal(example(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse([]byte(`{"kind":"result","command":"bench","exit":0,"data":` + string(kept) + `}`)); err != nil {
		t.Errorf("what -o json prints is refused: %v", err)
	}
	for what, text := range map[string]string{
		"nothing": "", "a list": "[]", "another object": `{"a":1}`, "a newer one": strings.Replace(string(kept), `"format":1`, `"format":2`, 1),
		"another unit": strings.Replace(string(kept), `"unit":"s"`, `"unit":"ms"`, 1),
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s is taken for a result", what)
		}
	}
	path := filepath.Join(t.TempDir(), "x.json")
	if _, err := ReadFile(path); fault.CodeOf(err) != fault.Usage {
		t.Errorf("got %v", err)
	}
}

func TestVerdictsHold(t *testing.T) {
	about, below := &Figure{Value: 100, Bound: "about"}, &Figure{Value: 10, Bound: "below"}
	for _, c := range []struct {
		row  Row
		of   *Figure
		want Verdict
	}{
		{rowWith(RabbitMQFirst, "x", sample(100)...), about, AsGood},
		{rowWith(RabbitMQFirst, "x", sample(114)...), about, AsGood},
		{rowWith(RabbitMQFirst, "x", sample(116)...), about, Worse},
		{rowWith(RabbitMQFirst, "x", sample(90, 200, 210)...), about, AsGood},
		{rowWith(RabbitMQFirst, "x", sample(50, 60, 70)...), about, Better},
		{rowWith(RedisFirst, "x", sample(1)...), below, AsGood},
		{rowWith(RedisFirst, "x", sample(11)...), below, Worse},
		{rowWith(LinkUp, "x", sample(200)...), about, Better},
		{rowWith(LinkUp, "x", sample(50)...), about, Worse},
		{NewRow(LinkUp, "x"), about, ""},
	} {
		if got := c.row.judge(c.of); got != c.want {
			t.Errorf("%v of %v: %q, want %q", c.row.Values(), c.of.Value, got, c.want)
		}
	}
}

func TestBetterAndWorseAreNotCalledByEye(t *testing.T) {
	for _, c := range []struct {
		m        Metric
		now, was []float64
		want     Verdict
	}{
		{RedisLater, []float64{4, 5, 6}, []float64{1, 2, 3}, Worse},
		{RedisLater, []float64{1, 2, 3}, []float64{4, 5, 6}, Better},
		{LinkUp, []float64{4, 5, 6}, []float64{1, 2, 3}, Better},
		{RedisLater, []float64{1, 2, 5}, []float64{3, 4, 6}, Chance},
		{RedisLater, []float64{9}, []float64{1}, TooFew},
		{RedisLater, []float64{9, 9}, []float64{1, 1}, TooFew},
	} {
		now, was := rowWith(c.m, "x", sample(c.now...)...), rowWith(c.m, "x", sample(c.was...)...)
		if got := now.Against(was, "", time.Time{}); got == nil || got.Verdict != c.want {
			t.Errorf("%v after %v: %+v, want %s", c.now, c.was, got, c.want)
		}
	}
	if rowWith(RedisLater, MethodAlone, sample(1)...).Against(rowWith(RedisLater, MethodRelease, sample(1)...), "", time.Time{}) != nil {
		t.Error("figures of two methods are compared")
	}
}

func TestTheGateStopsRegressionsAndNoNoise(t *testing.T) {
	now, was := example(t), example(t)
	set := func(r *Result, m Metric, v ...float64) {
		for i := range r.Rows {
			if r.Rows[i].Metric == m {
				r.Rows[i] = rowWith(m, r.Rows[i].Method, sample(v...)...)
			}
		}
	}
	set(&now, RabbitMQLater, 70, 71, 72)    // worse by more than a third
	set(&was, RabbitMQLater, 50, 51, 52)    //
	set(&now, AppBoot, 0.9, 1.4, 1.2)       // noise
	set(&was, AppBoot, 0.8, 1.0, 1.3)       //
	set(&now, LinkUp, 1.0, 1.01, 1.02)      // slower is worse here
	set(&was, LinkUp, 2.0, 2.01, 2.02)      //
	set(&now, RedisFirst, 1.01, 1.02, 1.03) // worse, and hardly
	set(&was, RedisFirst, 0.98, 0.99, 1.0)  //
	now.Compare(was)
	var got []string
	for _, r := range now.Regressions(20) {
		got = append(got, string(r.Metric))
	}
	if strings.Join(got, " ") != "rabbitmq-later-boot network-bandwidth" {
		t.Errorf("the gate stops %v", got)
	}
}

func TestMistakesInABaselineAreNamed(t *testing.T) {
	own, err := ParseBaseline("mine.yaml", []byte("figures:\n  - {metric: redis-boot, value: 2, unit: s, source: last year}\n"))
	if err != nil || len(own) != 1 || own[0].Value != 2 {
		t.Fatalf("%+v, %v", own, err)
	}
	_, err = ParseBaseline("mine.yaml", []byte("figures:\n  - {metric: redis, value: 2, unit: s}\n  - {metric: redis-boot, value: 1, unit: GB}\n  - {metric: app-boot, value: -1, unit: s}\nother: 1\n"))
	text := fault.EvidenceOf(err)
	for _, want := range []string{"mine.yaml:2", "mine.yaml:3", "mine.yaml:4", "mine.yaml:5", "redis-boot is measured in s", "a figure is above 0"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func FuzzResults(f *testing.F) {
	f.Add([]byte(`{"format":1,"started":"2026-05-03T14:30:00Z","rows":[{"metric":"redis-boot","unit":"s","samples":[{"value":1}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := r.WriteTable(&b, 80); err != nil {
			t.Error(err)
		}
		if _, err := r.HTML([]Result{r}); err != nil {
			t.Error(err)
		}
	})
}

func FuzzSightings(f *testing.F) {
	f.Add([]byte(`{"what":"ready","at":1.5,"wall":2.5,"boot":"x"}` + "\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, rest, err := parseSightings(data); err == nil && bytes.IndexByte(rest, '\n') >= 0 {
			t.Errorf("a whole line is left of %q", data)
		}
	})
}

func FuzzLooks(f *testing.F) {
	f.Add([]byte("k3s 1\nMemTotal: 2\nload 0.5\n\nMemTotal: 3\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if looks, err := parseMemory(data); err == nil && len(looks) == 0 {
			t.Error("neither looks nor an error")
		}
		if s, err := parseStamps(data); err == nil && s.uptime < 0 {
			t.Error("up since tomorrow")
		}
	})
}
