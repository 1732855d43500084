package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s/k3stest"
)

// machinesKey holds the boxes by name, where there are two.
const machinesKey = "machines"

// second puts another fresh Debian, newpc, into the LAN of the first, and into
// the configuration; `second elsewhere` puts it into another LAN.
func second(ts *testscript.TestScript, neg bool, args []string) {
	elsewhere := slices.Equal(args, []string{"elsewhere"})
	if neg || len(args) > 0 && !elsewhere {
		ts.Fatalf("usage: second [elsewhere]")
	}
	dir := filepath.Join(ts.Getenv("WORK"), ".box2")
	ts.Check(os.MkdirAll(dir, 0o700))
	box, err := hosttest.Start(hosttest.Config{Dir: dir, SudoPassword: sudoPassword}, ts.Value(testKey).(testing.TB).Errorf)
	ts.Check(err)
	ts.Defer(box.Close)
	oldpc, newpc := machineOf(ts), k3stest.Debian(box)
	newpc.Address = "192.168.1.21"
	if elsewhere {
		newpc.Address = "10.20.0.21"
	}
	newpc.WriteFile("/proc/sys/kernel/hostname", "newpc\n", 0o644)
	newpc.Join(oldpc)
	machines := ts.Value(machinesKey).(map[string]*k3stest.Machine)
	machines["newpc"] = newpc
	ts.Setenv("FINGERPRINT2", box.Fingerprint())
	config := ts.MkAbs("ssg-bootstrap.yaml")
	before, err := os.ReadFile(config)
	ts.Check(err)
	t := box.Target()
	host := fmt.Appendf(nil, "hosts:\n  newpc:\n    address: %s\n    port: %d\n    user: %s\n    identityFiles: [%s]\n    knownHostsFile: .known_hosts\n    hostKeys: [%q]\n",
		t.Addr, t.Port, t.User, t.IdentityFiles[0], t.HostKeys[0])
	ts.Check(os.WriteFile(config, bytes.Replace(before, []byte("hosts:\n"), host, 1), 0o644))
}

// at chooses the box that the script's next commands are about.
func at(ts *testscript.TestScript, neg bool, args []string) {
	machines := ts.Value(machinesKey).(map[string]*k3stest.Machine)
	if neg || len(args) != 1 || machines[args[0]] == nil {
		ts.Fatalf("usage: at oldpc|newpc")
	}
	machines[""] = machines[args[0]]
}

// leaks demands that what lets an agent in is in no command line, no program's
// arguments and no readable file of any box, nor in what was printed last.
func leaks(ts *testscript.TestScript, neg bool, args []string) {
	if !neg || len(args) > 0 {
		ts.Fatalf("usage: ! leaks")
	}
	machines := ts.Value(machinesKey).(map[string]*k3stest.Machine)
	for _, name := range []string{"oldpc", "newpc"} {
		m := machines[name]
		for _, line := range m.Wire() {
			demandSecret(ts, name+", command line", line)
		}
		for _, e := range m.Log() {
			demandSecret(ts, name+", argv", e.String())
		}
		for _, line := range readable(ts, m) {
			demandSecret(ts, name+", readable file", line)
		}
	}
	demandSecret(ts, "stdout", ts.ReadFile("stdout"))
	demandSecret(ts, "stderr", ts.ReadFile("stderr"))
}

func demandSecret(ts *testscript.TestScript, where, text string) {
	if bytes.Contains([]byte(text), []byte("canary-7f3a")) {
		ts.Fatalf("%s holds the token: %.300s", where, text)
	}
}

// readable are the contents of the files that not only root may read.
func readable(ts *testscript.TestScript, m *k3stest.Machine) []string {
	var out []string
	ts.Check(filepath.WalkDir(m.Path("/"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			return err
		}
		text, err := os.ReadFile(path)
		out = append(out, string(text))
		return err
	}))
	return out
}
