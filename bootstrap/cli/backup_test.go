package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
)

// keepParts makes a backup of oldpc with these parts, each of a few bytes.
func keepParts(t *testing.T, a *app, m vault.Manifest, parts ...string) *vault.Vault {
	t.Helper()
	v, err := a.vault("oldpc", spec.Backup{}, true)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := v.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	m.Host = "oldpc"
	for _, name := range parts {
		sum, _, err := v.Put([]byte(name))
		if err != nil {
			t.Fatal(err)
		}
		x := vault.Index{{Sum: sum, Size: int64(len(name))}}
		list, _, err := v.Put(x.Encode())
		if err != nil {
			t.Fatal(err)
		}
		m.Parts = append(m.Parts, vault.Part{Name: name, Index: list, Pieces: 1, Bytes: x.Bytes()})
	}
	if _, err := v.Commit(m); err != nil {
		t.Fatal(err)
	}
	return v
}

// damageNewest changes a bit of the newest manifest.
func damageNewest(t *testing.T, v *vault.Vault) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(v.Dir(), "*.backup"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%v, %v", found, err)
	}
	path := found[len(found)-1]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheAgeOfTheNewestBackupIsToldAsFarAsItIsKnown(t *testing.T) {
	now := time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC)
	week := 7 * 24 * time.Hour
	for name, c := range map[string]struct {
		// ago are the backups, each as long ago.
		ago     []time.Duration
		damaged bool
		said    string
		old     bool
	}{
		"none":               {said: "there is no backup", old: true},
		"young":              {ago: []time.Duration{2 * time.Hour}, said: "the newest backup, 000001, is 2 h old"},
		"old":                {ago: []time.Duration{8 * 24 * time.Hour}, said: "the newest backup, 000001, is 8 d old", old: true},
		"the newest counts":  {ago: []time.Duration{time.Hour, 9 * 24 * time.Hour}, said: "the newest backup, 000002, is 9 d old", old: true},
		"a clock went back":  {ago: []time.Duration{-48 * time.Hour}, said: "the newest backup, 000001, seems to come from the future: a clock is or was wrong", old: true},
		"two clocks differ":  {ago: []time.Duration{-time.Minute}, said: "the newest backup, 000001, is 0"},
		"it cannot be read":  {ago: []time.Duration{time.Hour}, damaged: true, said: "the newest backup cannot be read: read backup 000001: ", old: true},
		"the older can, but": {ago: []time.Duration{2 * time.Hour, time.Hour}, damaged: true, said: "the newest backup cannot be read: read backup 000002: ", old: true},
	} {
		_, a := newWorld(t)
		v, err := a.vault("oldpc", spec.Backup{}, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, ago := range c.ago {
			v = keepParts(t, a, vault.Manifest{Taken: now.Add(-ago)}, recovery.K3s)
		}
		if c.damaged {
			damageNewest(t, v)
		}
		if got := backupAge(v, now, week); !strings.HasPrefix(got.said, c.said) || got.old != c.old {
			t.Errorf("%s: %+v, want %q, %v", name, got, c.said, c.old)
		}
	}
}

// TestOnlyABoxThatRunsIsWarnedOfItsBackupsAge: one that is being made has
// nothing to lose.
func TestOnlyABoxThatRunsIsWarnedOfItsBackupsAge(t *testing.T) {
	for _, c := range []struct {
		active bool
		days   int
		want   string
	}{
		{true, 0, ""},
		{true, 40, "warning: the newest backup, 000001, is 40 d old; make one with `ssg-bootstrap backup --host oldpc`"},
		{false, 40, ""},
	} {
		w, a := newWorld(t)
		v := keepParts(t, a, vault.Manifest{Taken: time.Now().AddDate(0, 0, -c.days)}, recovery.K3s)
		s := &session{a: a, name: "oldpc", facts: facts.Facts{K3s: facts.K3s{Active: c.active}}}
		s.warnOfAge(v)
		if got := strings.Join(strings.Fields(w.err.String()), " "); got != c.want {
			t.Errorf("%+v: it said %q", c, got)
		}
	}
}

// TestAClockThatWentBackIsToldAndStopsNothing: backups are ordered by number.
func TestAClockThatWentBackIsToldAndStopsNothing(t *testing.T) {
	w, a := newWorld(t)
	v := keepParts(t, a, vault.Manifest{Taken: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)}, recovery.K3s)
	s := &session{a: a, name: "oldpc"}
	s.warnOfClock(v)
	want := "warning: this computer's clock is behind backup 000001, which was taken at 2031-01-02T03:04:05Z; set it right"
	if got := strings.Join(strings.Fields(w.err.String()), " "); got != want {
		t.Errorf("it said %q", got)
	}
	keepParts(t, a, vault.Manifest{Taken: time.Now()}, recovery.K3s)
	w.err.Reset()
	s.warnOfClock(v)
	if e, err := v.Find("latest"); err != nil || e.ID != "000002" || w.err.Len() > 0 {
		t.Errorf("the latest is %+v, %v; it said %q", e, err, w.err.String())
	}
}

// TestABackupWithoutDatabasesDoesNotTakeThePlaceOfOneThatHasThem: the release may
// just not have been found.
func TestABackupWithoutDatabasesDoesNotTakeThePlaceOfOneThatHasThem(t *testing.T) {
	with := []string{recovery.K3s, recovery.MySQL}
	without := []string{recovery.K3s}
	for name, c := range map[string]struct {
		before, now []string
		partial     bool
		damaged     bool
		refused     bool
	}{
		"the first":                     {now: without},
		"none had them":                 {before: without, now: without},
		"they are still there":          {before: with, now: with},
		"they are gone":                 {before: with, now: without, refused: true},
		"what was replaced is no whole": {before: with, now: without, partial: true},
		"what it held is not known":     {before: with, now: without, damaged: true},
	} {
		_, a := newWorld(t)
		v, err := a.vault("oldpc", spec.Backup{}, true)
		if err != nil {
			t.Fatal(err)
		}
		if c.before != nil {
			v = keepParts(t, a, vault.Manifest{Taken: time.Now(), Partial: c.partial}, c.before...)
		}
		if c.damaged {
			damageNewest(t, v)
		}
		err = stillHolds(v, c.now, release.Want{Name: "ssg", Namespace: "school"})
		if (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (fault.CodeOf(err) != fault.BackupFailed || !strings.Contains(fault.NextOf(err), v.Dir())) {
			t.Errorf("%s: %v; next: %s", name, err, fault.NextOf(err))
		}
	}
}

// TestDataAreReplacedOnlyWhenTheirOwnerSaysSo: the answers on a terminal are in
// the script restore.txtar.
func TestDataAreReplacedOnlyWhenTheirOwnerSaysSo(t *testing.T) {
	w, a := newWorld(t)
	s := &session{a: a, name: "oldpc"}
	m := vault.Manifest{ID: "000007", Taken: time.Now()}
	o := restoreOptions{only: []string{recovery.MySQL, recovery.RabbitMQ}}
	if err := s.mayReplace(t.Context(), m, o); fault.CodeOf(err) != fault.NeedsAnswer || !strings.Contains(fault.NextOf(err), "--yes") {
		t.Errorf("without a terminal: %v", err)
	}
	if said := w.err.String(); !strings.Contains(said, "mysql and rabbitmq on oldpc") || !strings.Contains(said, "backup 000007") {
		t.Errorf("it said %q", said)
	}
	o.yes = true
	if err := s.mayReplace(t.Context(), m, o); err != nil {
		t.Error(err)
	}
}
