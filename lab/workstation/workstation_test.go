package workstation

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// somebody is a user who is not root, whoever runs this test.
const somebody = 64321

// tools makes PATH a folder with these programs alone.
func tools(t *testing.T, scripts map[string]string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv("LOG", log)
	return log
}

const (
	// runs is a sudo that does as it is told.
	runs = "exec \"$@\"\n"
	// environment is env, which sudo is given first.
	environment = "shift; exec \"$@\"\n"
	apt         = "echo \"$*\" >>\"$LOG\"\n"
)

func install(t *testing.T, packages ...string) error {
	t.Helper()
	return Owner{UID: somebody}.Install(t.Context(), slog.New(slog.DiscardHandler), packages)
}

func TestPackagesAreInstalledThroughSudoAfterTheListsAreNew(t *testing.T) {
	log := tools(t, map[string]string{"sudo": runs, "env": environment, "apt-get": apt})
	if err := install(t, "socat", "mmdebstrap"); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := "-q -oDPkg::Lock::Timeout=300 update\n-q -oDPkg::Lock::Timeout=300 install --yes --no-install-recommends socat mmdebstrap\n"
	if string(said) != want {
		t.Errorf("apt-get was told\n%swant\n%s", said, want)
	}
}

// TestWhoMayNotInstallIsToldTheLine holds what a fresh Debian without sudo, a
// user outside of the group sudo, and a run without a terminal end with.
func TestWhoMayNotInstallIsToldTheLine(t *testing.T) {
	const line = "as root, `apt-get update` and `apt-get install --yes --no-install-recommends socat`"
	for name, c := range map[string]struct{ sudo, says string }{
		"no sudo":     {"", "packages are missing, and there is no sudo"},
		"no sudoer":   {"echo 'me is not in the sudoers file.' >&2; exit 1\n", "me is not in the sudoers file."},
		"no terminal": {"echo 'sudo: a terminal is required to read the password' >&2; exit 1\n", "a terminal is required"},
	} {
		scripts := map[string]string{"apt-get": apt}
		if c.sudo != "" {
			scripts["sudo"] = c.sudo
		}
		tools(t, scripts)
		err := install(t, "socat")
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), line) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAptsOwnFailureIsQuotedAndNotTakenForARefusal(t *testing.T) {
	tools(t, map[string]string{"sudo": runs, "env": environment, "apt-get": "echo 'E: Unable to locate package socat' >&2; exit 100\n"})
	err := install(t, "socat")
	if err == nil || !strings.Contains(err.Error(), "E: Unable to locate package socat") || strings.Contains(err.Error(), "as root") {
		t.Errorf("got %v", err)
	}
}

func TestRootNeedsNoSudoAndFindsWhatIsRoots(t *testing.T) {
	tools(t, map[string]string{})
	root := Owner{}
	if err := root.MayBeRoot(); err != nil {
		t.Error(err)
	}
	out, err := root.AsRoot(t.Context(), "/bin/sh", "-c", `echo "$PATH"`).Output()
	if err != nil || !strings.HasSuffix(string(out), ":/usr/sbin:/sbin\n") {
		t.Errorf("PATH is %q, %v", out, err)
	}
	if err := (Owner{UID: somebody}).MayBeRoot(); err == nil || !strings.Contains(err.Error(), "adduser YOU sudo") {
		t.Errorf("somebody without sudo: %v", err)
	}
}
