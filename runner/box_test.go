package runner

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/artifact"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
	"github.com/omkar619-dev/ssg-bootstrap/runner/github"
)

// machine is a box with k3s, on which the runner's programs are models.
type machine struct {
	*hosttest.Box
	hub  *hub
	in   Input
	t    *testing.T
	said bytes.Buffer

	mu     sync.Mutex
	owners map[string]string
	user   []string // home, comment
	groups string
	cluster
	libraries []string
	asUser    int
	// refuse is what config.sh says instead of registering.
	refuse string
	// deaf keeps the listener from GitHub.
	deaf bool
}

// cluster is the API server's objects by path.
type cluster struct {
	objects map[string]map[string]any
	token   string
}

const serviceUnit = "actions.runner.omkar619-dev-studentsystemgo.oldpc.service"

func newMachine(t *testing.T) *machine {
	tarball, sum := runnerArchive(t, "2.336.0")
	m := &machine{
		Box: hosttest.New(t, hosttest.Config{SudoPassword: "canary-sudo"}), hub: newHub(t, tarball, sum), t: t,
		owners: map[string]string{}, cluster: cluster{objects: map[string]map[string]any{}, token: "canary-cluster-token"},
		libraries: []string{"libssl.so.3", "libkrb5.so.3", "libz.so.1"},
	}
	for name, model := range map[string]func(*hosttest.Call) int{
		"getent": m.getent, "useradd": m.useradd, "userdel": m.userdel, "id": m.id, "stat": m.stat, "install": m.install, "chown": m.chown,
		"runuser": m.runuser, "pkill": func(*hosttest.Call) int { return 1 }, "ldconfig": m.ldconfig,
		"apt-cache": m.aptCache, "apt-get": m.aptGet, "config.sh": m.configure, "svc.sh": m.svc, "k3s": m.k3s, "openssl": m.openssl,
	} {
		m.Command(name, model)
	}
	m.WriteFile(serverCA, "authority one\n", 0o644)
	m.WriteFile("/usr/local/bin/k3s", "k3s", 0o755)
	gh, err := github.New(github.Options{
		API: m.hub.URL + "/api/v3", Repository: repository, Token: secrets.NewValue(pat),
		Pause: func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	helm := helmMirror(t)
	store, err := artifact.Open(artifact.Options{CacheDir: t.TempDir(), HelmMirror: helm})
	if err != nil {
		t.Fatal(err)
	}
	m.in = Input{
		Want:   spec.Runner{Repository: repository, Server: m.hub.URL, Name: "oldpc", Labels: []string{"homelab", "oldpc"}, Work: "_work"},
		Limits: profiles.Runner{MemoryHigh: 384 << 20, MemoryMax: 640 << 20}, Namespace: "studentsystemgo", Release: "ssg",
		Store: store, GitHub: gh, Every: time.Millisecond,
		Tell: func(text string) { fmt.Fprintln(&m.said, text) },
	}
	return m
}

// runnerArchive is a runner's package, as far as the installer looks at it.
func runnerArchive(t *testing.T, version string) ([]byte, string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range []struct {
		name, text string
	}{
		{"config.sh", "#!/bin/bash\n"}, {"bin/Runner.Listener", "listener " + version}, {"bin/runsvc.sh", "#!/bin/bash\n# service\n"},
	} {
		if err := w.WriteHeader(&tar.Header{Name: "./" + f.name, Mode: 0o755, Size: int64(len(f.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))
}

func helmMirror(t *testing.T) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	const program = "#!/bin/sh\necho helm\n"
	if err := w.WriteHeader(&tar.Header{Name: "linux-amd64/helm", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, program)
	_, _ = w.Close(), z.Close()
	server := newFiles(t, map[string]string{
		"/" + artifact.HelmTarball(HelmVersion):                b.String(),
		"/" + artifact.HelmTarball(HelmVersion) + ".sha256sum": fmt.Sprintf("%x  %s\n", sha256.Sum256(b.Bytes()), artifact.HelmTarball(HelmVersion)),
	})
	return server
}

// converge plans and applies everything, with a plan's steps of k3s taken as
// given.
func (m *machine) converge() (step.Result, error) {
	m.t.Helper()
	steps, client := m.steps(), m.Connect(m.t)
	p, err := step.MakePlan(m.t.Context(), steps, client)
	if err != nil {
		return step.Result{}, err
	}
	m.note(p)
	return step.Converge(m.t.Context(), steps, client, p, step.Options{}, func(e step.Event) { m.note(e) })
}

// note keeps everything that a user could see, for the canary.
func (m *machine) note(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		m.t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said.Write(append(text, '\n'))
}

func (m *machine) steps() []step.Step {
	steps, err := step.Select(append(Steps(m.in), given(k3s.ServerID)), nil, []step.ID{k3s.ServerID})
	if err != nil {
		m.t.Fatal(err)
	}
	return steps
}

func (m *machine) plan() step.Plan {
	m.t.Helper()
	p, err := step.MakePlan(m.t.Context(), m.steps(), m.Connect(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// given is a step that others need and that is not looked at.
type given step.ID

func (g given) ID() step.ID                                            { return step.ID(g) }
func (given) Title() string                                            { return "given" }
func (given) Needs() []step.ID                                         { return nil }
func (given) Lane() step.Lane                                          { return step.LaneBox }
func (given) Plan(context.Context, host.Reader) ([]step.Change, error) { return nil, nil }
func (given) Apply(context.Context, step.Run, []step.Change) error     { return nil }

func (m *machine) getent(c *hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.user == nil || !c.Has(userName) {
		return 2
	}
	c.Printf("%s:x:997:997:%s:%s:/usr/sbin/nologin\n", userName, m.user[1], m.user[0])
	return 0
}

func (m *machine) useradd(c *hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !c.Root || c.Args[len(c.Args)-1] != userName || !c.Has("--system") {
		return c.Errorf("useradd: %q", c.Args)
	}
	m.user, m.groups = []string{after(c.Args, "--home-dir"), after(c.Args, "--comment")}, userName
	return 0
}

func after(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

func (m *machine) userdel(*hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.user = nil
	return 0
}

func (m *machine) id(c *hosttest.Call) int {
	switch {
	case c.Has("-nG"):
		c.Printf("%s\n", m.groups)
	case c.Has("-u") && c.Root:
		c.Printf("0\n")
	case c.Has("-u"):
		c.Printf("1000\n")
	default:
		c.Printf("uid=1000(ssg) gid=1000(ssg) groups=1000(ssg),27(sudo)\n")
	}
	return 0
}

// stat knows owners, which a test that is not root cannot set.
func (m *machine) stat(c *hosttest.Call) int {
	format, file := after(c.Args, "-c"), c.Args[len(c.Args)-1]
	if strings.Contains(format, "%U") {
		info, err := os.Stat(m.Path(file))
		if err != nil {
			return c.Errorf("stat: %v", err)
		}
		m.mu.Lock()
		owner := m.owners[file]
		m.mu.Unlock()
		if owner == "" {
			owner = "root:root"
		}
		user, group, _ := strings.Cut(owner, ":")
		c.Printf("%s\n", strings.NewReplacer("%U", user, "%G", group, "%a", fmt.Sprintf("%o", info.Mode().Perm())).Replace(format))
		return 0
	}
	return m.real(c, nil)
}

// real runs the program of this computer on the box's disk.
func (m *machine) real(c *hosttest.Call, leave func(string) bool) int {
	var args []string
	for _, a := range c.Args[1:] {
		if strings.HasPrefix(a, "/") && (leave == nil || !leave(a)) {
			a = m.Path(a)
		}
		args = append(args, a)
	}
	cmd := exec.CommandContext(c.Ctx, c.Args[0], args...)
	cmd.Dir, cmd.Stdin = m.Path(c.Dir), c.Stdin
	out, err := cmd.Output()
	_, _ = c.Stdout.Write(bytes.ReplaceAll(out, []byte(m.Path("/")), nil))
	if err != nil {
		return c.Errorf("%s: %v", c.Args[0], err)
	}
	return 0
}

func (m *machine) install(c *hosttest.Call) int {
	owner, group := after(c.Args, "-o"), after(c.Args, "-g")
	args := []string{"install"}
	for i := 1; i < len(c.Args); i++ {
		if c.Args[i] == "-o" || c.Args[i] == "-g" {
			i++
			continue
		}
		args = append(args, c.Args[i])
	}
	call := *c
	call.Args = args
	if status := m.real(&call, nil); status != 0 {
		return status
	}
	m.own(c.Args[len(c.Args)-1], owner+":"+group)
	return 0
}

func (m *machine) own(path, owner string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owners[path] = owner
}

// chown is told of a temporary name; the file's place is what counts.
func (m *machine) chown(c *hosttest.Call) int {
	path := c.Args[len(c.Args)-1]
	if filepath.Dir(path) == baseDir {
		path = kubeconfigPath
	}
	m.own(path, c.Args[1])
	return 0
}

func (m *machine) runuser(c *hosttest.Call) int {
	if !c.Root || after(c.Args, "-u") != userName {
		return c.Errorf("runuser: %q", c.Args)
	}
	m.mu.Lock()
	m.asUser++
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.asUser--
	}()
	return c.Exec(c.Args[slices.Index(c.Args, "--")+1:])
}

func (m *machine) ldconfig(c *hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.libraries {
		c.Printf("\t%s (libc6,x86-64) => /lib/x86_64-linux-gnu/%s\n", l, l)
	}
	return 0
}

func (m *machine) aptCache(c *hosttest.Call) int {
	if !m.Exists("/var/lib/apt/lists/debian") {
		return 0
	}
	for _, name := range []string{"libicu72", "libicu76", "libicu76-dbgsym", "libicu-dev", "libssl3t64", "libkrb5-3"} {
		if strings.HasPrefix(name, c.Args[len(c.Args)-1]) {
			c.Printf("%s\n", name)
		}
	}
	return 0
}

func (m *machine) aptGet(c *hosttest.Call) int {
	switch {
	case c.Has("update"):
		m.WriteFile("/var/lib/apt/lists/debian", "lists", 0o644)
	case c.Has("libicu76"):
		m.mu.Lock()
		defer m.mu.Unlock()
		m.libraries = append(m.libraries, "libicuuc.so.76")
	default:
		return c.Errorf("E: Unable to locate package %s", c.Args[len(c.Args)-1])
	}
	return 0
}

// configure is config.sh, as the facts tell of it.
func (m *machine) configure(c *hosttest.Call) int {
	m.mu.Lock()
	asUser, refuse := m.asUser > 0, m.refuse
	m.mu.Unlock()
	settings := c.Dir + "/.runner"
	switch {
	case !asUser:
		return c.Errorf("Must not run with sudo")
	case m.Exists(settings):
		return c.Errorf("Cannot configure the runner because it is already configured.")
	case refuse != "":
		return c.Errorf("%s (token %s)", refuse, c.Getenv("ACTIONS_RUNNER_INPUT_TOKEN"))
	case !c.Has("--unattended"), !c.Has("--replace"), c.Getenv("HOME") != homeDir:
		return c.Errorf("config.sh: %q", c.Args)
	}
	name := after(c.Args, "--name")
	version := strings.Fields(m.ReadFile(c.Dir + "/bin/Runner.Listener"))[1]
	id, err := m.hub.enrol(c.Getenv("ACTIONS_RUNNER_INPUT_TOKEN"), name, version, strings.Split(after(c.Args, "--labels"), ","))
	if err != nil {
		return c.Errorf("%v", err)
	}
	text, _ := json.MarshalIndent(map[string]any{
		"agentId": id, "agentName": name, "gitHubUrl": after(c.Args, "--url"), "workFolder": after(c.Args, "--work"), "serverUrl": "https://pipelines.example",
	}, "", "  ")
	m.WriteFile(settings, "\ufeff"+string(text), 0o644)
	m.WriteFile(c.Dir+"/.credentials", "{}", 0o644)
	m.WriteFile(c.Dir+"/.credentials_rsaparams", "{}", 0o600)
	m.WriteFile(c.Dir+"/.path", "/usr/bin\n", 0o644)
	m.WriteFile(c.Dir+"/.env", "LANG=C\n", 0o644)
	c.Printf("Settings Saved.\n")
	return 0
}

// svc is svc.sh.
func (m *machine) svc(c *hosttest.Call) int {
	unit := "/etc/systemd/system/" + serviceUnit
	switch {
	case !c.Root || c.Dir != rootDir || len(c.Args) != 3 || c.Args[1] != "install" || c.Args[2] != userName:
		return c.Errorf("svc.sh in %s: %q", c.Dir, c.Args)
	case m.Exists(unit):
		return c.Errorf("Failed: error: exists %s", unit)
	}
	m.WriteFile(unit, "[Service]\nUser="+userName+"\nWorkingDirectory="+rootDir+"\n", 0o644)
	m.WriteFile(rootDir+"/runsvc.sh", m.ReadFile(rootDir+"/bin/runsvc.sh"), 0o755)
	m.Systemd.Define(serviceUnit, m.listen)
	m.Exec("systemctl enable " + serviceUnit)
	m.WriteFile(rootDir+"/.service", serviceUnit+"\n", 0o644)
	return 0
}

// listen is the unit's start.
func (m *machine) listen() error {
	l, err := parseLocal("settings=" + strings.NewReplacer("\r", "", "\n", "").Replace(m.ReadFile(rootDir+"/.runner")) + "\n")
	if err != nil || l.settings == nil {
		return fmt.Errorf("not configured")
	}
	if m.ReadFile(rootDir+"/runsvc.sh") == "" {
		return fmt.Errorf("exec format error")
	}
	m.WriteFile(rootDir+"/_diag/Runner_1.log", "Listening for Jobs\n", 0o644)
	m.mu.Lock()
	deaf := m.deaf
	m.mu.Unlock()
	m.hub.listens(l.settings.ID, !deaf)
	return nil
}

// k3s is kubectl, as far as the runner's rights need it.
func (m *machine) k3s(c *hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !c.Root:
		return c.Errorf("open /etc/rancher/k3s/k3s.yaml: permission denied")
	case c.Has("apply"):
		var list struct{ Items []map[string]any }
		if err := json.NewDecoder(c.Stdin).Decode(&list); err != nil {
			return c.Errorf("error: %v", err)
		}
		for _, o := range list.Items {
			m.objects[m.pathOf(o)] = o
		}
	case c.Has("get") && c.Has("secret"):
		if m.objects["/api/v1/namespaces/studentsystemgo/secrets/"+tokenSecret] != nil {
			c.Printf("%s", m.token)
		}
	case c.Has("delete"):
		c.Printf("deleted\n")
		m.objects = map[string]map[string]any{}
	default:
		return c.Errorf("kubectl: %q", c.Args)
	}
	return 0
}

func (m *machine) pathOf(o map[string]any) string {
	for _, known := range (access{m.in}).objects() {
		a, _ := json.Marshal(known.want["metadata"].(map[string]any)["name"])
		b, _ := json.Marshal(o["metadata"].(map[string]any)["name"])
		sameNS := fmt.Sprint(known.want["metadata"].(map[string]any)["namespace"]) == fmt.Sprint(o["metadata"].(map[string]any)["namespace"])
		if known.want["kind"] == o["kind"] && bytes.Equal(a, b) && sameNS {
			return known.path
		}
	}
	m.t.Errorf("an object that nobody asked for: %v", o)
	return ""
}

// openssl is the API server.
func (m *machine) openssl(c *hosttest.Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for r := bufio.NewReader(c.Stdin); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return 0
		}
		status, body := http.StatusNotFound, []byte("{}")
		if o := m.objects[req.URL.Path]; o != nil {
			if o["kind"] == "Secret" && req.URL.Query().Get("includeObject") != "None" {
				m.t.Error("the token's Secret was asked for with its content")
			}
			status = http.StatusOK
			body, _ = json.Marshal(o)
		}
		c.Printf("HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(body), body)
		if req.Close {
			return 0
		}
	}
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
