package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s/k3stest"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

const (
	// sudoPassword is a canary as well: no script's output may show it.
	sudoPassword = "canary-4711-sudo"
	testKey      = "test"
	meterKey     = "meter"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ssg-bootstrap": func() { os.Exit(run()) }})
}

// TestScripts runs the real program against a box in this process. Each script
// gets a fresh Debian, a configuration that names it oldpc, a mirror with a
// small release of k3s, a registry that stands in for all others, and the sudo
// password in the environment.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       goldentest.Updating(),
		Setup:               setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"box":      boxCommand,
			"await":    await,
			"data":     data,
			"fix":      fix,
			"mode":     mode,
			"registry": registryCommand,
			"store":    storeCommand,
			"replace":  replace,
			"second":   second,
			"at":       at,
			"leaks":    leaks,
		},
	})
}

func setup(env *testscript.Env) error {
	dir := filepath.Join(env.WorkDir, ".box")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	box, err := hosttest.Start(hosttest.Config{Dir: dir, SudoPassword: sudoPassword}, env.T().(testing.TB).Errorf)
	if err != nil {
		return err
	}
	env.Defer(box.Close)
	machine := k3stest.Debian(box)
	mirror, err := serveRelease()
	if err != nil {
		return err
	}
	env.Defer(mirror.Close)
	env.Values[machinesKey] = map[string]*k3stest.Machine{"": machine, "oldpc": machine}
	env.Values[testKey] = env.T()
	env.Values[meterKey] = &meter{}
	registry := serveImages(env, box)
	home := filepath.Join(env.WorkDir, ".home")
	env.Setenv("HOME", home)
	env.Setenv("USER", "tester")
	env.Setenv("NO_COLOR", "1")
	// The folder with nothing but the program, for scripts in which this
	// computer's other programs must not be found.
	env.Setenv("BIN", filepath.SplitList(env.Getenv("PATH"))[0])
	env.Setenv("SSG_SUDO_PASSWORD", sudoPassword)
	env.Setenv("FINGERPRINT", box.Fingerprint())
	env.Setenv("PORT", strconv.Itoa(box.Addr().Port))
	env.Setenv("KEY", box.Target().IdentityFiles[0])
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(env.WorkDir, "ssg-bootstrap.yaml"), configuration(box.Target(), mirror.URL, registry), 0o644)
}

func configuration(t host.Target, mirror, registry string) []byte {
	return fmt.Appendf(nil, `hosts:
  oldpc:
    address: %s
    port: %d
    user: %s
    identityFiles: [%s]
    knownHostsFile: .known_hosts
    hostKeys: ["%s"]
    tlsSANs: [192.168.1.20]
release:
  enabled: false
mirrors:
  k3s: %s
  registries:
    "*": %s
`, t.Addr, t.Port, t.User, t.IdentityFiles[0], t.HostKeys[0], mirror, registry)
}

// serveRelease serves a release of the reference profile's version, a few kB
// instead of 160 MB.
func serveRelease() (*httptest.Server, error) {
	p, err := profiles.Load("core2duo-4gb")
	if err != nil {
		return nil, err
	}
	version := p.K3s.Version
	files := map[string]string{}
	for _, name := range []string{"k3s", "k3s-airgap-images-amd64.tar.zst"} {
		files[name] = fmt.Sprintf("%s %s %s", name, version, strings.Repeat("x", 40<<10))
	}
	var sums strings.Builder
	for name, content := range files {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte(content)), name)
	}
	files["sha256sum-amd64.txt"] = sums.String()
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, found := strings.CutPrefix(r.URL.Path, "/k3s-io/k3s/releases/download/"+version+"/")
		content, exists := files[name]
		if !found || !exists {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, name, time.Unix(1, 0), strings.NewReader(content))
	})), nil
}

func machineOf(ts *testscript.TestScript) *k3stest.Machine {
	return ts.Value(machinesKey).(map[string]*k3stest.Machine)[""]
}

// boxCommand does something to the box behind the program's back:
//
//	box write PATH TEXT      puts a file on its disk
//	box put PATH FILE        puts one of the script's files on its disk
//	box holds PATH FILE      demands that a file is as the script's
//	box has PATH             demands that a file is there
//	box nodes NAME…          demands that its cluster has these agents
//	box reset                gives it an empty disk: /etc, /usr/local, /var and
//	                         what runs are gone
//	box rekey                gives it another host key, as a new disk does
//	box lock                 takes its lock until the script ends
//	box tailnet ADDRESS      gives it an address in the tailnet
//	box port N PROGRAM       lets another program listen
//	box snapshot FILE [WITHOUT]  lists all of its files, but those below WITHOUT
//	box pid FILE             writes k3s's process number
//	box cut N                cuts the connection after N bytes to the box
//	box slow N               lets k3s need N looks to be ready
//	box cost FILE            writes how many commands were sent since the last
//	                         time, and which programs they started how often
func boxCommand(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts)
	arg := func(i int) string {
		if i >= len(args) {
			ts.Fatalf("box %s: an argument is missing", strings.Join(args, " "))
		}
		return args[i]
	}
	number := func(i int) int {
		n, err := strconv.Atoi(arg(i))
		ts.Check(err)
		return n
	}
	switch arg(0) {
	case "write":
		m.WriteFile(arg(1), strings.ReplaceAll(arg(2), `\n`, "\n"), 0o644)
	case "put":
		m.WriteFile(arg(1), ts.ReadFile(arg(2)), 0o600)
	case "holds":
		if got := m.ReadFile(arg(1)); got != ts.ReadFile(arg(2)) {
			ts.Fatalf("%s holds:\n%s", arg(1), got)
		}
	case "nodes":
		if got, want := strings.Join(m.Nodes(), " "), strings.Join(args[1:], " "); got != want {
			ts.Fatalf("the agents are %q, want %q", got, want)
		}
	case "reset":
		reset(ts, m)
	case "has":
		if m.Exists(arg(1)) == neg {
			ts.Fatalf("%s: there %v", arg(1), !neg)
		}
	case "rekey":
		m.ReplaceHostKey()
		ts.Setenv("NEW_FINGERPRINT", m.Fingerprint())
	case "lock":
		lock(ts, m)
	case "port":
		m.Listeners = append(m.Listeners, fmt.Sprintf(`LISTEN 0 511 0.0.0.0:%d 0.0.0.0:* users:(("%s",pid=77,fd=6))`, number(1), arg(2)))
	case "tailnet":
		m.Tailnet = arg(1)
	case "snapshot":
		snapshot(ts, m, arg(1), args[2:])
	case "pid":
		pid := m.Systemd.Unit("k3s").PID + m.Systemd.Unit("k3s-agent").PID
		ts.Check(os.WriteFile(ts.MkAbs(arg(1)), []byte(strconv.Itoa(pid)), 0o644))
	case "cut":
		m.Link.CutAfterIn(int64(number(1)))
	case "slow":
		m.Probes = number(1)
	case "cost":
		ts.Check(os.WriteFile(ts.MkAbs(arg(1)), []byte(ts.Value(meterKey).(*meter).read(m)), 0o644))
	default:
		ts.Fatalf("box cannot %s", arg(0))
	}
}

// meter remembers up to where a box's costs were read.
type meter struct{ commands, programs int }

func (c *meter) read(m *k3stest.Machine) string {
	commands, log := m.Link.Execs(), m.Log()
	started := map[string]int{}
	for _, e := range log[c.programs:] {
		started[e.Argv[0]]++
	}
	var out strings.Builder
	fmt.Fprintf(&out, "commands %d\n", commands-c.commands)
	for _, name := range slices.Sorted(maps.Keys(started)) {
		fmt.Fprintf(&out, "%s %d\n", name, started[name])
	}
	c.commands, c.programs = commands, len(log)
	return out.String()
}

func snapshot(ts *testscript.TestScript, m *k3stest.Machine, file string, without []string) {
	lines := slices.DeleteFunc(m.Files(), func(line string) bool {
		return slices.ContainsFunc(without, func(prefix string) bool { return strings.HasPrefix(line, prefix) })
	})
	ts.Check(os.WriteFile(ts.MkAbs(file), []byte(strings.Join(lines, "\n")), 0o644))
}

func reset(ts *testscript.TestScript, m *k3stest.Machine) {
	for _, unit := range []string{"k3s-agent", "k3s", "ssg-bootstrap-firewall", "ssg-bootstrap-zram"} {
		m.Exec("systemctl disable --now " + unit)
	}
	m.FlushRuleset()
	for _, path := range []string{"/etc/rancher", "/etc/ssg-bootstrap", "/etc/default", "/usr/local", "/var/lib", "/run/ssg-bootstrap"} {
		ts.Check(os.RemoveAll(m.Path(path)))
	}
	for _, name := range []string{"k3s-agent", "k3s", "ssg-bootstrap-firewall", "ssg-bootstrap-zram"} {
		ts.Check(os.RemoveAll(m.Path("/etc/systemd/system/" + name + ".service")))
	}
}

func lock(ts *testscript.TestScript, m *k3stest.Machine) {
	ctx, stop := context.WithCancel(context.Background())
	client, err := host.Connect(ctx, m.Target(), m.Options())
	ts.Check(err)
	release, err := client.Lock(ctx, "somebody@elsewhere (pid 42)")
	ts.Check(err)
	ts.Defer(func() {
		release()
		stop()
		_ = client.Close()
	})
}

// await waits until a file of the box is there, so that a script can stop the
// program at a certain point.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || neg {
		ts.Fatalf("usage: await PATH-ON-THE-BOX")
	}
	m := machineOf(ts)
	// All scripts run at once: only a program that hangs takes so long.
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	defer stop()
	for !m.Exists(args[0]) {
		select {
		case <-ctx.Done():
			ts.Fatalf("%s did not appear", args[0])
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// fix writes the last output (stdout or stderr) to a file, with what differs
// from run to run replaced, so that it can be compared.
func fix(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: fix stdout|stderr FILE")
	}
	m := machineOf(ts)
	text := strings.NewReplacer(
		strconv.Itoa(m.Addr().Port), "PORT",
		m.Fingerprint(), "FINGERPRINT",
		ts.Getenv("WORK"), "WORK",
	).Replace(ts.ReadFile(args[0]))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}

// mode demands a file's permissions.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: mode 600 FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// replace changes a text in a file of the script.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 || neg {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	old := ts.ReadFile(args[0])
	if !strings.Contains(old, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(old, args[1], args[2])), 0o644))
}
