package host_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

func TestASecondRunIsRefusedWithTheHoldersName(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{SudoPassword: "pw"})
	first, second := box.Connect(t), box.Connect(t)
	release, err := first.Lock(t.Context(), "anna@laptop, pid 7, install")
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.Lock(t.Context(), "berta@desk")
	if fault.CodeOf(err) != fault.Locked || fault.EvidenceOf(err) != "anna@laptop, pid 7, install" {
		t.Fatalf("got %v, evidence %q", err, fault.EvidenceOf(err))
	}
	release()
	release()
	again, err := second.Lock(t.Context(), "berta@desk")
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	again()
	if box.Exists("/run/ssg-bootstrap/holder") {
		t.Error("a released lock still has a holder")
	}
}

func TestTheLockDiesWithItsHolder(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	// Without a beat: the end of the connection is all that the box is told, and
	// no late one looks like a sign of life.
	o := box.Options()
	o.LockBeat = time.Hour
	first, second := connect(t, box.Target(), o), box.Connect(t)
	if _, err := first.Lock(t.Context(), "anna@laptop"); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	release, err := second.Lock(t.Context(), "berta@desk")
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestTheLockOfAHalfDeadLinkExpires(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	o := box.Options()
	o.Keepalive = time.Hour
	first, err := host.Connect(t.Context(), box.Target(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Lock(t.Context(), "anna@laptop"); err != nil {
		t.Fatal(err)
	}
	// The link of the first run stands still; nobody closes it.
	box.Link.Freeze()
	var mu sync.Mutex
	var said []string
	o = box.Options()
	o.Events = func(text string) { mu.Lock(); said = append(said, text); mu.Unlock() }
	second, err := host.Connect(t.Context(), box.Target(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	start := time.Now()
	release, err := second.Lock(t.Context(), "berta@desk")
	if err != nil {
		t.Fatal(err)
	}
	release()
	if took := time.Since(start); took > 20*o.LockBeat {
		t.Errorf("the stale lock took %s to expire", took)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) == 0 || !strings.Contains(said[0], "anna@laptop") {
		t.Errorf("said %q, want who is waited for", said)
	}
}

func TestALostLockIsWonBack(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	first, second := box.Connect(t), box.Connect(t)
	release, err := first.Lock(t.Context(), "anna@laptop")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	box.Link.Cut()
	if err := first.Put(t.Context(), host.File{Path: "/etc/x", Mode: 0o644, Content: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Lock(t.Context(), "berta@desk"); fault.CodeOf(err) != fault.Locked {
		t.Errorf("a second run got the lock: %v", err)
	}
}

func TestARunThatLostItsLockToAnotherStops(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	first := box.Connect(t)
	if _, err := first.Lock(t.Context(), "anna@laptop"); err != nil {
		t.Fatal(err)
	}
	box.Link.Refuse(true)
	box.Link.Cut()
	box.Idle()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Another run, as the box sees it.
		box.Exec(`mkdir -p /run/ssg-bootstrap; flock -n /run/ssg-bootstrap/lock sh -c 'printf "%s\n" berta@desk other >/run/ssg-bootstrap/holder; while [ ! -e /tmp/stop ]; do date +%N >/run/ssg-bootstrap/beat; sleep 0.05; done'`)
	}()
	defer func() { box.WriteFile("/tmp/stop", "", 0o644); <-ended }()
	for box.ReadFile("/run/ssg-bootstrap/holder") != "berta@desk\nother\n" {
		select {
		case <-t.Context().Done():
			t.Fatal("the other run did not begin")
		default:
		}
	}
	box.Link.Refuse(false)
	_, err := first.Run(t.Context(), host.Command{Argv: []string{"touch", "/etc/y"}, Root: true})
	if fault.CodeOf(err) != fault.Locked || fault.EvidenceOf(err) != "berta@desk" || box.Exists("/etc/y") {
		t.Errorf("got %v, evidence %q", err, fault.EvidenceOf(err))
	}
}
