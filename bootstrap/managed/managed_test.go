package managed

import (
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

func TestDiff(t *testing.T) {
	ours := Marker + "\nkey = new\n"
	file := File{Path: "/etc/x", Mode: 0o600, Content: []byte(ours)}
	with := func(content string, kind uint32) Seen {
		return Seen{Present: true, Kind: kind, SHA256: sum([]byte(content)), Content: []byte(content)}
	}
	for name, c := range map[string]struct {
		seen    Seen
		verb    step.Verb
		why     string
		foreign bool
	}{
		"absent":          {Seen{}, step.Create, "absent", false},
		"same":            {with(ours, 0o100600), "", "", false},
		"ours but older":  {with(Marker+"\nkey = old\n", 0o100600), step.Update, "content differs", false},
		"somebody else's": {with("key = old\n", 0o100600), step.Update, "made by somebody else", true},
		"empty":           {with("", 0o100600), step.Update, "content differs", false},
		"zeros":           {with("\x00\x00\x00", 0o100600), step.Update, "content differs", false},
		"too open":        {with(ours, 0o100644), step.Update, "mode 644 → 600", false},
		"a link":          {with(ours, 0o120777), step.Update, "is not a plain file", true},
		"a folder":        {Seen{Present: true, Kind: 0o040755}, step.Update, "is not a plain file", true},
	} {
		got := Diff([]File{file}, State{"/etc/x": c.seen})
		switch {
		case c.verb == "" && len(got) == 0:
		case c.verb == "" || len(got) != 1:
			t.Errorf("%s: %+v", name, got)
		case got[0].Verb != c.verb || got[0].Why != c.why || got[0].Foreign != c.foreign:
			t.Errorf("%s: %+v", name, got[0])
		}
	}
}

func TestNobodyElsesPathIsReplaced(t *testing.T) {
	file := File{Path: "/etc/x", Mode: 0o644, Content: []byte(Marker), Ours: true}
	got := Diff([]File{file}, State{"/etc/x": {Present: true, Kind: 0o100644, SHA256: "0", Content: []byte("other")}})
	if len(got) != 1 || got[0].Foreign {
		t.Errorf("%+v", got)
	}
}

func TestDiffShowsNoSecret(t *testing.T) {
	file := File{Path: "/etc/x", Mode: 0o600, Content: []byte(Marker + "\n"), Redact: func(b []byte) []byte {
		return []byte(strings.ReplaceAll(string(b), "canary", "[secret]"))
	}}
	got := Diff([]File{file}, State{"/etc/x": {Present: true, Kind: 0o100600, SHA256: "0", Content: []byte("token: canary\n")}})
	if len(got) != 1 || strings.Contains(got[0].Diff, "canary") || !strings.Contains(got[0].Diff, "-token: [secret]") {
		t.Errorf("%+v", got)
	}
}

func TestParseRefusesWhatIsNotItsFormat(t *testing.T) {
	for _, bad := range []string{"mode zz 1 /etc/x\n", "mode 81a4 soon /etc/x\n", "short  /etc/x\n", "sudo: a password is required\n"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("mode 81a4 1795382289 /etc/x\n" + sum(nil) + "  /etc/x\n")
	f.Add("mode 81a4 1 /etc/a b\n")
	f.Fuzz(func(t *testing.T, in string) {
		state, err := parse(in)
		if err != nil && state != nil {
			t.Error("an error with a state")
		}
		Diff([]File{{Path: "/etc/x", Content: []byte(Marker)}}, state)
		ParseUnits([]byte(in))
	})
}

func TestUnit(t *testing.T) {
	units := ParseUnits([]byte("Id=x.service\nLoadState=loaded\nActiveState=activating\nUnitFileState=enabled\nNeedDaemonReload=yes\n" +
		"MainPID=7\nNRestarts=2\nExecMainStartTimestamp=Sun 2026-11-22 21:26:43 UTC\nnoise\n\n" +
		"Id=y.service\nLoadState=not-found\nActiveState=inactive\nNRestarts=\nActiveEnterTimestamp=n/a\n"))
	x := Unit{Loaded: true, Enabled: true, NeedsReload: true, State: "activating", PID: "7", Restarts: 2,
		Started: time.Date(2026, 11, 22, 21, 26, 43, 0, time.UTC)}
	if y := (Unit{State: "inactive"}); len(units) != 2 || units["x.service"] != x || units["y.service"] != y {
		t.Errorf("%+v", units)
	}
	for name, c := range map[string]struct {
		unit    Unit
		written bool
		want    string
	}{
		"fine":          {Unit{Enabled: true}, false, ""},
		"new":           {Unit{}, true, "update " + Reload + ", enable x.service"},
		"killed before": {Unit{Enabled: true, NeedsReload: true}, false, "update " + Reload},
	} {
		var got []string
		for _, ch := range DiffUnit("x.service", c.unit, c.written) {
			got = append(got, string(ch.Verb)+" "+ch.Object)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}
