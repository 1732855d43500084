package hosttest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

func TestTheDiskAndTheUnitsOutliveConnectionsAndPowerCuts(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	box.WriteFile("/etc/systemd/system/a.service", "[Service]\n", 0o644)
	box.WriteFile("/etc/systemd/system/b.service", "[Service]\n", 0o644)
	c := box.Connect(t)
	for _, line := range []string{"systemctl daemon-reload", "systemctl enable --now a", "systemctl start b", "touch /run/gone /etc/kept"} {
		if _, err := c.Run(t.Context(), host.Command{Argv: strings.Fields(line), Root: true}); err != nil {
			t.Fatal(err)
		}
	}
	before := box.Systemd.Unit("a")
	box.PowerCut()
	after := box.Systemd.Unit("a")
	if before.PID == 0 || after.PID == 0 || before.PID == after.PID || after.Active != "active" {
		t.Errorf("the enabled unit: %+v, then %+v", before, after)
	}
	if b := box.Systemd.Unit("b"); b.Active != "inactive" {
		t.Errorf("the unit that was only started: %+v", b)
	}
	out, err := c.Query(t.Context(), host.Command{Argv: []string{"sh", "-c", "ls /run /etc/kept; systemctl is-active a b"}})
	if want := "/etc/kept\n\n/run:\nsystemd\nactive\ninactive\n"; string(out) != want {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestNothingWritesAcrossAPowerCut(t *testing.T) {
	for range 4 {
		box := hosttest.New(t, hosttest.Config{User: "root"})
		c := box.Connect(t)
		for n := range 8 {
			writer := fmt.Sprintf("mkdir /run/%d; while :; do seq 200 | split -l 1 -a 3 - /run/%d/x; done", n, n)
			go func() { _, _ = c.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", writer}}) }()
		}
		for len(box.Ran("split")) < 8 {
			runtime.Gosched()
		}
		box.PowerCut()
		if got, _ := box.Exec("ls /run"); got != "systemd\n" {
			t.Fatalf("/run after the cut: %q", got)
		}
	}
}

// On a starved computer it may take seconds until somebody reads what a program
// wrote before it ended.
func TestAProgramsOutputIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	box := hosttest.New(t, hosttest.Config{})
	out, status := box.Exec(`late=$(awk 'BEGIN { system("(sleep 1.5; echo late) &") }') && echo "got $late"`)
	if out != "got late\n" || status != 0 {
		t.Errorf("got %q, %d", out, status)
	}
}

func TestAStalledLinkLosesNothingOfAnAnswer(t *testing.T) {
	t.Parallel()
	box := hosttest.New(t, hosttest.Config{})
	// So much that cat ends while the pipe behind it is still full.
	want := strings.Repeat("0123456789abcde\n", 90<<10/16)
	box.WriteFile("/srv/answer", want, 0o644)
	box.Command("stall", func(c *hosttest.Call) int {
		box.Link.Stall(true)
		time.AfterFunc(1500*time.Millisecond, func() { box.Link.Stall(false) })
		return 0
	})
	out, err := box.Connect(t).Query(t.Context(), host.Command{Argv: []string{"sh", "-c", "stall; cat /srv/answer"}})
	if err != nil || string(out) != want {
		t.Errorf("got %d of %d bytes, %v", len(out), len(want), err)
	}
}

func TestWhatTheUserMayNotChange(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	before := box.Files()
	c := box.Connect(t)
	for _, script := range []string{"echo x >/etc/x", "mkdir /etc/d", "rm -rf /etc", "systemctl start x"} {
		_, err := c.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", script}})
		if fault.CodeOf(err) != fault.CommandFailed {
			t.Errorf("%s: %v", script, err)
		}
	}
	if after := box.Files(); !slices.Equal(before, after) {
		t.Errorf("the disk was %q and is %q", before, after)
	}
}

func TestPathsAreTheBoxes(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{User: "root"})
	for script, want := range map[string]string{
		"echo hi >/srv/a; cat /srv/a; sha256sum /srv/a | cut -c 65-":            "hi\n  /srv/a\n",
		"mkdir -p /srv/d; cd /srv/d; touch x; pwd; echo *; readlink -f x":       "/srv/d\nx\n/srv/d/x\n",
		"ln -sf /srv/a /srv/l; readlink /srv/l; cat /srv/l":                     "/srv/a\nhi\n",
		"dd if=/srv/a of=/srv/b status=none; cat /srv/b":                        "hi\n",
		"sed -n '/h/p' /srv/a; grep /srv /srv/a || echo none":                   "hi\nnone\n",
		"command -v sh; command -v nosuch || echo absent":                       "/usr/bin/sh\nabsent\n",
		"echo '#!/bin/sh\necho \"$0 $1\"' >/srv/s; chmod +x /srv/s; /srv/s one": "/srv/s one\n",
		"[ -d /srv ] && [ ! -e /nosuch ] && echo yes":                           "yes\n",
		"find /srv -name a -type f":                                             "/srv/a\n",
	} {
		if out, status := box.Exec("rm -rf /srv; mkdir /srv; echo hi >/srv/a\n" + script); out != want || status != 0 {
			t.Errorf("%s: got %q, %d; want %q", script, out, status, want)
		}
	}
}

func TestAnUnknownCommandFailsTheTest(t *testing.T) {
	var failures []string
	box, err := hosttest.Start(hosttest.Config{Dir: t.TempDir()}, func(format string, args ...any) {
		failures = append(failures, fmt.Sprintf(format, args...))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if _, status := box.Exec("nosuchprogram --now"); status != 127 || len(failures) != 1 || !strings.Contains(failures[0], "nosuchprogram --now") {
		t.Errorf("got %d, %q", status, failures)
	}
}

func TestModelsAreCalledWithWhatTheyNeed(t *testing.T) {
	box := hosttest.New(t, hosttest.Config{})
	box.Command("nft", func(c *hosttest.Call) int {
		c.Printf("%v %s", c.Root, strings.Join(c.Args[1:], " "))
		return 0
	})
	out, err := box.Connect(t).Query(t.Context(), host.Command{Argv: []string{"nft", "list", "ruleset"}, Root: true})
	if err != nil || string(out) != "true list ruleset" || !slices.Equal(box.Ran("nft"), []string{"nft list ruleset"}) {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestFakeKeepsAndAnswers(t *testing.T) {
	f := hosttest.NewFake(t)
	f.Answer("uname -m", "x86_64\n")
	f.Refuse("sudo cat /nosuch", 1, "No such file")
	f.Allow("sudo systemctl restart k3s", "")
	answers, err := f.QueryMany(t.Context(), []host.Command{
		{Argv: []string{"uname", "-m"}}, {Argv: []string{"cat", "/nosuch"}, Root: true},
	})
	if err != nil || string(answers[0].Out) != "x86_64\n" || answers[1].Err == nil {
		t.Errorf("got %v, %v", answers, err)
	}
	if _, err := f.Run(t.Context(), host.Command{Argv: []string{"systemctl", "restart", "k3s"}, Root: true}); err != nil {
		t.Error(err)
	}
	if err := f.Put(t.Context(), host.File{Path: "/etc/x", Content: []byte("x")}); err != nil {
		t.Error(err)
	}
	if file, ok := f.File("/etc/x"); !ok || string(file.Content) != "x" {
		t.Errorf("got %v, %v", file, ok)
	}
}
