package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// run plays a run of about five minutes: a transfer at 250 kB/s, a wait, a
// step that fails.
func run(r Reporter) {
	r.Expect(map[step.ID]Expectation{
		"k3s-binary": {Planned: 4 * time.Minute, Bytes: 60e6},
		"k3s-server": {Last: 190 * time.Second},
	})
	_, end := Task(r.Event, time.Now, "connect", "connect to oldpc")
	time.Sleep(time.Second)
	end(nil)
	_, end = Task(r.Event, time.Now, "k3s-binary", "k3s v1.36.4+k3s1")
	for done := int64(0); done <= 60e6; done += 250e3 {
		time.Sleep(time.Second)
		r.Event(step.Event{Time: time.Now(), Kind: step.StepProgress, Step: "k3s-binary", Title: "k3s v1.36.4+k3s1", Done: done, Total: 60e6})
	}
	r.Event(step.Event{Time: time.Now(), Kind: step.StepRetry, Step: "k3s-binary", Title: "k3s v1.36.4+k3s1", Text: "connection lost; continuing where it stopped"})
	end(nil)
	note, end := Task(r.Event, time.Now, "k3s-server", "k3s answers")
	note("kine: 0 rows\x1b[2J\nsecond line")
	time.Sleep(65 * time.Second)
	end(errors.New("it does not"))
}

func TestPlainLinesAreFewAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := New(Auto, Options{Err: &out, Now: time.Now})
		run(r)
		r.Close()
		got := out.String()
		for _, want := range []string{
			"connect to oldpc: done in 1 s\n",
			"k3s v1.36.4+k3s1: 49 %, 30 MB of 60 MB, 250 kB/s, about 2 min left\n",
			"k3s v1.36.4+k3s1: connection lost; continuing where it stopped\n",
			"k3s v1.36.4+k3s1: done in 4 min 1 s, 60 MB\n",
			"k3s answers: kine: 0 rows�[2J; second line\n",
			"k3s answers: still at work, 33 s, last time 3 min 10 s, last seen: kine: 0 rows�[2J; second line\n",
			"k3s answers: failed after 1 min 5 s\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in:\n%s", want, got)
			}
		}
		if strings.ContainsAny(got, "\r\x1b") {
			t.Errorf("control characters in plain output: %q", got)
		}
		if n := strings.Count(got, "\n"); n > 36 {
			t.Errorf("%d lines are too many:\n%s", n, got)
		}
	})
}

// TestPlainIsPlainOnATerminalToo is for screen readers: what they have read is
// never redrawn.
func TestPlainIsPlainOnATerminalToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := New(Plain, Options{Err: &out, Live: true, Color: true, Width: func() int { return 80 }, Now: time.Now})
		run(r)
		r.Close()
		if strings.ContainsAny(out.String(), "\r\x1b") || !strings.Contains(out.String(), "k3s v1.36.4+k3s1: done in 4 min 1 s, 60 MB\n") {
			t.Errorf("got %q", out.String())
		}
	})
}

// TestWorkThatIsNoStepSaysHowLongItTookLastTime holds that in all three views.
func TestWorkThatIsNoStepSaysHowLongItTookLastTime(t *testing.T) {
	for mode, want := range map[Mode]string{
		Plain: "still at work: rotate mysql (30 s, last time 3 min 20 s)\n",
		JSON:  `"title":"rotate mysql","lastSeconds":200}`,
		Auto:  "31 s, last time 3 min 20 s",
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			r := New(mode, Options{Err: &out, Live: true, Width: func() int { return 80 }, Now: time.Now})
			defer r.Close()
			see := func(e step.Event) {
				if e.Kind == step.StepStarted {
					e.Last = 200 * time.Second
				}
				r.Event(e)
			}
			_, end := Task(see, time.Now, "rotate", "rotate mysql")
			time.Sleep(32 * time.Second)
			end(nil)
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing in %q", mode, want, out.String())
			}
		})
	}
}

func TestTheHeartbeatOfManyStepsIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := New(Plain, Options{Err: &out, Now: time.Now})
		defer r.Close()
		_, endA := Task(r.Event, time.Now, "a", "step a")
		_, endB := Task(r.Event, time.Now, "b", "step b")
		time.Sleep(31 * time.Second)
		endA(nil)
		endB(nil)
		if want := "still at work: step a (30 s), step b (30 s)\nstep a: done in 31 s\nstep b: done in 31 s\n"; out.String() != want {
			t.Errorf("got\n%s", out.String())
		}
	})
}

func TestALostLinkIsToldButNotEveryFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := New(Plain, Options{Err: &out, Now: time.Now})
		defer r.Close()
		for i := range 9 {
			News(r.Event, time.Now, fmt.Sprintf("connection lost, reconnecting (%d s)", 5*i))
			time.Sleep(5 * time.Second)
		}
		News(r.Event, time.Now, "connected again")
		want := "connection lost, reconnecting (0 s)\nconnection lost, reconnecting (30 s)\nconnected again\n"
		if out.String() != want {
			t.Errorf("got\n%s", out.String())
		}
	})
}

func TestAQuestionIsNotInterruptedAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := New(Plain, Options{Err: &out, Now: time.Now})
		defer r.Close()
		_, end := Task(r.Event, time.Now, "a", "step a")
		failure := r.Hold(func() error {
			fmt.Fprint(&out, "Password: ")
			end(nil)
			fmt.Fprintln(&out)
			return errors.New("no")
		})
		if failure == nil || out.String() != "Password: \nstep a: done in 0 s\n" {
			t.Errorf("got %q, error %v", out.String(), failure)
		}
	})
}

func TestEveryJSONLineIsOneObjectOfTheDocumentedShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := New(JSON, Options{Err: &out, Now: time.Now})
		r.Event(step.Event{Kind: step.StepDone, Step: "s", Took: 1500 * time.Millisecond, Changes: []step.Change{{Verb: step.Send, Object: "k3s", Bytes: 7, Work: time.Second}}})
		run(r)
		kinds := map[step.Kind]int{}
		for line := range strings.Lines(out.String()) {
			d := json.NewDecoder(strings.NewReader(line))
			d.DisallowUnknownFields()
			var l Line
			if err := d.Decode(&l); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			kinds[l.Kind]++
		}
		if kinds[step.StepProgress] != 241 || kinds[step.StepFailed] != 1 {
			t.Errorf("got %v", kinds)
		}
		want := `"step":"s","changes":[{"verb":"send","object":"k3s","bytes":7,"workSeconds":1}],"tookSeconds":1.5}`
		if first, _, _ := strings.Cut(out.String(), "\n"); !strings.HasSuffix(first, want) {
			t.Errorf("got %s", first)
		}
	})
}

func TestTheLiveViewFitsTheTerminal(t *testing.T) {
	for _, width := range []int{20, 40, 80, 200} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			r := New(Auto, Options{Err: &out, Live: true, Width: func() int { return width }, Now: time.Now})
			run(r)
			r.Close()
			escapes := regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
			seen := escapes.ReplaceAllString(out.String(), "\n")
			for line := range strings.Lines(seen) {
				for _, l := range strings.Split(line, "\r") {
					if w := runewidth.StringWidth(strings.TrimRight(l, "\n")); w >= max(width, 25) {
						t.Fatalf("width %d: a line has %d columns: %q", width, w, l)
					}
				}
			}
			if width != 80 {
				return
			}
			// Clock and progress tick at the same moments: which comes first is open.
			if !regexp.MustCompile(`(49|50|51) % of 60 MB, 250 kB/s, 2 min left`).MatchString(seen) {
				t.Error("the middle of the upload is missing")
			}
			for _, want := range []string{"█░", "kine: 0 rows�[2J second line", "of 2 steps", "about ", "failed  k3s answers"} {
				if !strings.Contains(seen, want) {
					t.Errorf("%q is missing", want)
				}
			}
		})
	}
}

func TestTheLiveViewSaysWhenNothingMoves(t *testing.T) {
	b := newBoard()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 10 {
		b.apply(step.Event{Time: start.Add(time.Duration(i) * time.Second), Kind: step.StepProgress, Step: "s", Title: "s", Done: int64(i) * 1000, Total: 1e6})
	}
	l := &live{board: b}
	if got := l.figures(b.find("s"), start.Add(30*time.Second)); got != "0 % of 1 MB, nothing moves for 21 s" {
		t.Errorf("got %q", got)
	}
}

func TestAResumedTransferIsNotTakenForAFastOne(t *testing.T) {
	b := newBoard()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 5 {
		b.apply(step.Event{Time: start.Add(time.Duration(i) * time.Second), Kind: step.StepProgress, Step: "s", Done: 50e6 + int64(i)*100e3, Total: 60e6})
	}
	if got := b.find("s").rate(start.Add(4 * time.Second)); got != 100e3 {
		t.Errorf("rate %v, want 100 kB/s", got)
	}
	// The moment at which it is drawn changes nothing, a longer silence does.
	if got := b.find("s").rate(start.Add(5900 * time.Millisecond)); got != 100e3 {
		t.Errorf("between two reports the rate is %v, want 100 kB/s", got)
	}
	if got := b.find("s").rate(start.Add(8 * time.Second)); got != 50e3 {
		t.Errorf("after 4 s of silence the rate is %v, want 50 kB/s", got)
	}
}

func TestAnErrorEndsWithEvidenceAndTheNextCommand(t *testing.T) {
	err := fmt.Errorf("k3s: %w", &fault.Error{Code: fault.DiskFull, Op: "write /usr/local/bin/k3s", Err: &host.CommandError{Command: "dd", Exit: 1, Stderr: "no space left\x1b[0m on device\n"}, Next: "free 2 GiB on /var"})
	var b bytes.Buffer
	WriteError(&b, err, 80)
	want := "error: k3s: write /usr/local/bin/k3s: dd: exit status 1\n  | no space left�[0m on device\ntry: free 2 GiB on /var\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	WriteError(&b, errors.Join(errors.New("one"), errors.New("two\nlines")), 80)
	if want := "error: one\n  and: two\n  lines\ntry: run it again with -v and read the last lines\n"; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestWithoutColourTheViewsSayTheSame(t *testing.T) {
	colour := regexp.MustCompile("\x1b\\[[0-9;]*m")
	shown := map[bool]string{}
	for _, color := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			r := New(Auto, Options{Err: &out, Live: true, Width: func() int { return 80 }, Color: color, Now: time.Now})
			run(r)
			r.Close()
			shown[color] = out.String()
		})
	}
	if colour.MatchString(shown[false]) {
		t.Errorf("there is colour in %q", colour.FindString(shown[false]))
	}
	// Which frames are drawn in between is chance; what stays is not.
	kept := regexp.MustCompile(`(?m)(?:done|failed|retry|note) .*$`)
	with := kept.FindAllString(colour.ReplaceAllString(shown[true], ""), -1)
	if without := kept.FindAllString(shown[false], -1); len(with) < 4 || !slices.Equal(with, without) {
		t.Errorf("with colour %q, without %q", with, without)
	}
}

func TestALongWaitSaysHowLongItTookLastTime(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := &live{board: newBoard()}
	l.board.expect = map[step.ID]Expectation{"s": {Last: 190 * time.Second}}
	l.board.apply(step.Event{Time: start, Kind: step.StepStarted, Step: "s", Title: "s"})
	for after, want := range map[time.Duration]string{
		65 * time.Second: "1 min 5 s, last time 3 min 10 s",
		10 * time.Minute: "10 min, last time 3 min 10 s",
	} {
		if got := l.figures(l.board.find("s"), start.Add(after)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
