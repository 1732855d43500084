package hosttest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Unit is what the model knows of one unit.
type Unit struct {
	Name, Description string
	Enabled           bool
	// Active is one of active, inactive, failed, activating.
	Active, Sub, Result string
	// PID is 0 when nothing runs; every start gives a new one.
	PID      int
	Starts   int
	Since    time.Time
	Exit     int
	start    func() error
	stop     context.CancelFunc
	volatile bool
}

// Systemd is a small systemd: units of /etc/systemd/system and those that
// tests define, started and stopped, and transient units that really run.
type Systemd struct {
	box *Box

	mu      sync.Mutex
	units   map[string]*Unit
	nextPID int
	// Reloads counts how often all units were read again.
	reloads int
}

func newSystemd(b *Box) *Systemd {
	return &Systemd{box: b, units: make(map[string]*Unit), nextPID: 1000}
}

// Define makes a unit that exists on the box without a file; start, which may
// be nil, runs at each start and may refuse it.
func (s *Systemd) Define(name string, start func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.units[full(name)] = &Unit{Name: full(name), Active: "inactive", Sub: "dead", Result: "success", start: start}
}

// Unit returns a copy of a unit's state.
func (s *Systemd) Unit(name string) Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.find(full(name)); u != nil {
		return *u
	}
	return Unit{Name: full(name), Active: "inactive", Sub: "dead"}
}

// Reloads is how often all units were read again: by daemon-reload, and at the
// end of enable and disable.
func (s *Systemd) Reloads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reloads
}

// Kill ends a unit's process as a crash does; Restart=always starts it again.
func (s *Systemd) Kill(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.find(full(name))
	if u == nil || u.PID == 0 {
		return fmt.Errorf("unit %s does not run", name)
	}
	return s.startLocked(u)
}

func full(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return name + ".service"
}

// find returns a unit that was defined or has a file.
func (s *Systemd) find(name string) *Unit {
	if u := s.units[name]; u != nil {
		return u
	}
	for _, dir := range []string{"/etc/systemd/system/", "/usr/lib/systemd/system/"} {
		if s.box.Exists(dir + name) {
			u := &Unit{Name: name, Active: "inactive", Sub: "dead", Result: "success"}
			s.units[name] = u
			return u
		}
	}
	return nil
}

func (s *Systemd) startLocked(u *Unit) error {
	u.Since = time.Now()
	u.Starts++
	if u.start != nil {
		if err := u.start(); err != nil {
			u.Active, u.Sub, u.Result, u.PID = "failed", "failed", "exit-code", 0
			return err
		}
	}
	s.nextPID++
	u.Active, u.Sub, u.Result, u.PID = "active", "running", "success", s.nextPID
	return nil
}

func (s *Systemd) stopLocked(u *Unit) {
	if u.stop != nil {
		u.stop()
	}
	u.Active, u.Sub, u.PID = "inactive", "dead", 0
}

// boot forgets what ran and starts what is enabled.
func (s *Systemd) boot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		u := s.units[name]
		if u.volatile {
			delete(s.units, name)
			continue
		}
		s.stopLocked(u)
		if u.Enabled {
			_ = s.startLocked(u)
		}
	}
}

// systemctl is the program.
func (s *Systemd) systemctl(c *Call) int {
	var names, properties []string
	var value, now bool
	verb := ""
	args := c.Args[1:]
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-p" && i+1 < len(args):
			i++
			properties = append(properties, strings.Split(args[i], ",")...)
		case strings.HasPrefix(a, "--property="):
			properties = append(properties, strings.Split(strings.TrimPrefix(a, "--property="), ",")...)
		case a == "--version":
			c.Printf("systemd 257 (257.8-1~deb13u1)\n+PAM +AUDIT +SELINUX +APPARMOR\n")
			return 0
		case a == "--value":
			value = true
		case a == "--now":
			now = true
		case strings.HasPrefix(a, "-"):
		case verb == "":
			verb = a
		default:
			names = append(names, full(a))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.Root && slices.Contains([]string{"start", "stop", "restart", "enable", "disable", "daemon-reload", "reset-failed", "mask"}, verb) {
		return c.Errorf("Failed to %s: Interactive authentication required.", verb)
	}
	switch verb {
	case "daemon-reload":
		s.reloads++
		return 0
	case "enable", "disable":
		s.reloads++
	}
	status := 0
	for i, name := range names {
		if verb == "show" && i > 0 {
			c.Printf("\n")
		}
		status = max(status, s.one(c, verb, name, properties, value, now))
	}
	return status
}

func (s *Systemd) one(c *Call, verb, name string, properties []string, value, now bool) int {
	u := s.find(name)
	if u == nil {
		return s.absent(c, verb, name, properties, value)
	}
	switch verb {
	case "show":
		s.show(c, u, properties, value)
	case "is-active":
		c.Printf("%s\n", u.Active)
		if u.Active != "active" {
			return 3
		}
	case "is-enabled":
		if !u.Enabled {
			c.Printf("disabled\n")
			return 1
		}
		c.Printf("enabled\n")
	case "enable", "disable":
		u.Enabled = verb == "enable"
		switch {
		case now && u.Enabled:
			return s.begin(c, u)
		case now:
			s.stopLocked(u)
		}
	case "start":
		if u.Active != "active" {
			return s.begin(c, u)
		}
	case "restart", "reload-or-restart":
		s.stopLocked(u)
		return s.begin(c, u)
	case "stop":
		s.stopLocked(u)
		if u.volatile {
			delete(s.units, u.Name)
		}
	case "reset-failed":
		if u.Active == "failed" {
			u.Active, u.Sub = "inactive", "dead"
			if u.volatile {
				delete(s.units, u.Name)
			}
		}
	case "status", "cat":
		c.Printf("%s", s.box.ReadFile("/etc/systemd/system/"+u.Name))
	default:
		s.box.fail("systemctl %s is not modelled", verb)
		return 1
	}
	return 0
}

func (s *Systemd) begin(c *Call, u *Unit) int {
	if err := s.startLocked(u); err != nil && !c.Has("--no-block") {
		return c.Errorf("Job for %s failed: %v", u.Name, err)
	}
	return 0
}

func (s *Systemd) absent(c *Call, verb, name string, properties []string, value bool) int {
	switch verb {
	case "show":
		s.show(c, &Unit{Name: name, Active: "inactive", Sub: "dead", Result: "success"}, properties, value)
		return 0
	case "is-active":
		c.Printf("inactive\n")
		return 4
	case "is-enabled":
		c.Printf("not-found\n")
		return 4
	}
	fmt.Fprintf(c.Stderr, "Unit %s not found.\n", name)
	return 5
}

func (s *Systemd) show(c *Call, u *Unit, properties []string, value bool) {
	load, file := "not-found", ""
	if s.units[u.Name] != nil {
		load, file = "loaded", "disabled"
		if u.Enabled {
			file = "enabled"
		}
	}
	since := ""
	if !u.Since.IsZero() {
		since = u.Since.UTC().Format("Mon 2006-01-02 15:04:05 UTC")
	}
	code := "0"
	if u.Active == "failed" || u.Sub == "exited" {
		code = "1"
	}
	all := map[string]string{
		"Id": u.Name, "Names": u.Name, "Description": u.Description, "LoadState": load, "ActiveState": u.Active, "SubState": u.Sub,
		"UnitFileState": file, "Result": u.Result, "MainPID": strconv.Itoa(u.PID), "NRestarts": strconv.Itoa(max(u.Starts-1, 0)),
		"ExecMainStatus": strconv.Itoa(u.Exit), "ExecMainCode": code, "ActiveEnterTimestamp": since,
		"ExecMainStartTimestamp": since, "ControlGroup": "",
		"ActiveEnterTimestampMonotonic": strconv.FormatInt(max(u.Since.UnixMicro(), 0), 10), "NeedDaemonReload": "no",
		"FragmentPath": "/etc/systemd/system/" + u.Name, "StatusText": "", "DropInPaths": "",
	}
	if len(properties) == 0 {
		properties = slices.Sorted(maps.Keys(all))
	}
	for _, p := range properties {
		v, ok := all[p]
		switch {
		case !ok:
			s.box.fail("systemctl show: the property %s is not modelled", p)
		case value:
			c.Printf("%s\n", v)
		default:
			c.Printf("%s=%s\n", p, v)
		}
	}
}

// run is systemd-run: the program really runs, as root, and outlives every
// connection.
func (s *Systemd) run(c *Call) int {
	u := &Unit{Active: "active", Sub: "running", Result: "success", volatile: true, Since: time.Now()}
	var output string
	var remain bool
	args := c.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		a := args[0]
		args = args[1:]
		if a == "--" {
			break
		}
		if (a == "-p" || a == "--property" || a == "--unit" || a == "--description") && len(args) > 0 {
			a, args = a+"="+args[0], args[1:]
		}
		key, v, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(a, "-p="), "--property="), "=")
		switch key {
		case "--unit":
			u.Name = full(v)
		case "--description":
			u.Description = v
		case "StandardOutput", "StandardError":
			_, output, _ = strings.Cut(v, ":")
		case "RemainAfterExit":
			remain = v == "yes"
		}
	}
	if !c.Root {
		return c.Errorf("Failed to start transient service unit: Interactive authentication required.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.units[u.Name]; old != nil {
		return c.Errorf("Failed to start transient service unit: Unit %s was already loaded or has a fragment file.", u.Name)
	}
	s.nextPID++
	u.PID = s.nextPID
	s.units[u.Name] = u
	var ctx context.Context
	ctx, u.stop = context.WithCancel(s.box.powered())
	s.box.busy(1)
	s.box.serving.Go(func() {
		defer s.box.busy(-1)
		s.transient(ctx, u, args, output, remain)
	})
	fmt.Fprintf(c.Stderr, "Running as unit: %s\n", u.Name)
	return 0
}

func (s *Systemd) transient(ctx context.Context, u *Unit, argv []string, output string, remain bool) {
	out := &sink{w: &bytes.Buffer{}}
	if output != "" {
		f, err := os.OpenFile(s.box.Path(path.Clean(output)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			s.box.fail("open the output of %s: %v", u.Name, err)
			return
		}
		defer f.Close()
		out.w = f
	}
	sh := s.box.shell(true)
	status := sh.exec(ctx, &Call{Box: s.box, Ctx: ctx, Dir: "/", env: []string{boxPath, "HOME=/root"}, Stdout: out, Stderr: out, shell: sh}, argv)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	u.PID, u.Exit = 0, status
	switch {
	case status != 0:
		u.Active, u.Sub, u.Result = "failed", "failed", "exit-code"
	case remain:
		u.Sub = "exited"
	default:
		delete(s.units, u.Name)
	}
}
