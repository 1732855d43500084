package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/bench"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func TestMistakesInBenchsFlagsAreFoundBeforeTheBoxIsAsked(t *testing.T) {
	for want, args := range map[string][]string{
		`there is no metric "redis"`: {"--only", "redis"}, "--runs -1": {"--runs", "-1"}, "--gate -5": {"--gate", "-5"},
		"--restart needs the release": {"--restart", "--stop-release"}, "read the baseline": {"--baseline", "/nonexistent"},
	} {
		w, _ := newWorld(t)
		code := Main(context.Background(), append([]string{"bench", "--host", "nobody.invalid"}, args...), w.env)
		if code != int(fault.ExitUsage) || !strings.Contains(w.err.String(), want) || !strings.Contains(w.err.String(), "try: ") {
			t.Errorf("%v: exit %d, %q", args, code, w.err.String())
		}
	}
}

// keep saves a result of a host with one row.
func keep(t *testing.T, a *app, host string, at time.Time, values ...float64) {
	t.Helper()
	r := bench.NewResult(bench.KindBench, host, at, facts.Facts{})
	row := bench.NewRow(bench.RedisLater, bench.MethodAlone)
	for _, v := range values {
		row.Add(bench.Sample{Value: v})
	}
	r.Rows = []bench.Row{row}
	if _, err := a.benchStore(host).Save(r); err != nil {
		t.Fatal(err)
	}
}

func TestTwoHostsAreComparedAndTheGateHasItsStatus(t *testing.T) {
	w, a := newWorld(t)
	now := time.Date(2026, 5, 3, 14, 30, 0, 0, time.UTC)
	keep(t, a, "newpc", now, 1, 1.1, 1.2)
	keep(t, a, "oldpc", now.Add(-time.Hour), 99)
	keep(t, a, "oldpc", now, 5, 5.1, 5.2)
	page := filepath.Join(t.TempDir(), "page.html")
	for _, c := range []struct {
		args []string
		exit fault.Exit
		says string
	}{
		{[]string{"newpc", "oldpc", "--gate", "10", "--html", page}, fault.ExitDone, "better -78 %"},
		{[]string{"oldpc", "newpc"}, fault.ExitDone, "worse +364 %"},
		{[]string{"oldpc", "newpc", "--gate", "10"}, fault.ExitChanges, "worse +364 %"},
		{[]string{"oldpc", "nobody"}, fault.ExitUsage, ""},
	} {
		w.out.Reset()
		code := Main(context.Background(), append([]string{"bench", "compare"}, c.args...), w.env)
		if code != int(c.exit) || !strings.Contains(w.out.String(), c.says) {
			t.Errorf("%v: exit %d\n%s\n%s", c.args, code, w.out.String(), w.err.String())
		}
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "better -78 %") {
		t.Errorf("the page: %v", err)
	}
}

func TestAKeptResultIsShownWithoutTheBox(t *testing.T) {
	w, a := newWorld(t)
	now := time.Date(2026, 5, 3, 14, 30, 0, 0, time.UTC)
	keep(t, a, "oldpc", now.Add(-time.Hour), 99)
	keep(t, a, "oldpc", now, 5, 5.1, 5.2)
	page := filepath.Join(t.TempDir(), "page.html")
	for _, c := range []struct {
		args []string
		exit fault.Exit
		says string
	}{
		{[]string{"oldpc", "--html", page}, fault.ExitDone, "5.1 s"},
		{[]string{"oldpc", "--markdown"}, fault.ExitDone, "| 5.1 s (5 to 5.2, 3 runs) |"},
		{[]string{"nobody"}, fault.ExitUsage, ""},
	} {
		w.out.Reset()
		code := Main(context.Background(), append([]string{"bench", "show"}, c.args...), w.env)
		if code != int(c.exit) || !strings.Contains(w.out.String(), c.says) {
			t.Errorf("%v: exit %d\n%s\n%s", c.args, code, w.out.String(), w.err.String())
		}
	}
	// The one before it is its history; itself is not.
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "Over time") {
		t.Errorf("the page: %v", err)
	}
}
