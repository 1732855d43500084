package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

// runLab runs the command in a cache folder of the test's own.
func runLab(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRoot(slog.New(slog.DiscardHandler))
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// box writes the state of a box that was up once and returns its folder.
func box(t *testing.T, name string) string {
	t.Helper()
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	dir := filepath.Join(cache, "ssg-bootstrap", "lab", "run", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(vm.State{Name: name, Ports: vm.Ports{SSH: 2022, API: 1643, HTTP: 1080, HTTPS: 1443}, Options: vm.Options{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.json"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWithoutABoxEachCommandSaysWhatToDo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, args := range [][]string{{"reset"}, {"ssh"}, {"powercut"}, {"cable", "out"}, {"env"}, {"link", "cut"}, {"github", "runners"}, {"github", "busy", "oldpc", "on"}, {"link", "rate", "2mbit"}, {"link", "stats"}} {
		if _, err := runLab(t, args...); err == nil || !strings.Contains(err.Error(), "lab up") {
			t.Errorf("lab %s: %v", strings.Join(args, " "), err)
		}
	}
	if out, err := runLab(t, "status"); err != nil || !strings.Contains(out, "lab up") {
		t.Errorf("lab status: %q, %v", out, err)
	}
	if _, err := runLab(t, "down"); err != nil {
		t.Errorf("lab down of what is down: %v", err)
	}
}

func TestLinkOfABoxThatIsOff(t *testing.T) {
	box(t, "oldpc")
	if _, err := runLab(t, "link", "cut"); err == nil || !strings.Contains(err.Error(), "lab up") {
		t.Errorf("lab link cut: %v", err)
	}
}

func TestEnv(t *testing.T) {
	dir := box(t, "second")
	out, err := runLab(t, "env", "--name", "second", "config")
	if err != nil || strings.TrimSpace(out) != filepath.Join(dir, "ssg-bootstrap.yaml") {
		t.Errorf("lab env config: %q, %v", out, err)
	}
	out, err = runLab(t, "env", "--name", "second")
	if err != nil || !strings.Contains(out, "lan_6443=127.0.0.1:1643\n") {
		t.Errorf("lab env: %q, %v", out, err)
	}
	// `make demo` makes an address of it.
	out, err = runLab(t, "env", "--name", "second", "lan_80")
	if err != nil || out != "127.0.0.1:1080\n" {
		t.Errorf("lab env lan_80: %q, %v", out, err)
	}
	if _, err := runLab(t, "env", "--name", "second", "nonsense"); err == nil || !strings.Contains(err.Error(), "sudo_password") {
		t.Errorf("lab env nonsense: %v", err)
	}
}

// The command's words reach the stand-in in the background, and what it shows
// comes back.
func TestGitHubFromTheCommandLine(t *testing.T) {
	dir := box(t, "oldpc")
	out, err := runLab(t, "env", "github_token")
	token := strings.TrimSpace(out)
	if err != nil || filepath.Dir(token) != dir {
		t.Fatalf("lab env github_token: %q, %v", out, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	config := control.Config{Socket: filepath.Join(dir, socketFile), Target: "127.0.0.1:1", Mirror: t.TempDir(), GitHub: control.GitHub{State: filepath.Join(dir, githubStateFile), Token: token}}
	go func() { ended <- control.Serve(ctx, config) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for out, err = runLab(t, "github", "runners"); err != nil && ctx.Err() == nil; out, err = runLab(t, "github", "runners") {
		select {
		case err := <-ended:
			t.Fatalf("ended at once: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if out != "no runner is registered\n" {
		t.Errorf("lab github runners: %q", out)
	}
	if out, err := runLab(t, "github", "runners", "--json"); err != nil || strings.TrimSpace(out) != "[]" {
		t.Errorf("lab github runners --json: %q, %v", out, err)
	}
	address, err := runLab(t, "env", "github")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runLab(t, "github", "fail", "503", "1"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(strings.TrimSpace(address) + "/repos/omkar619-dev/studentsystemgo")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	log, err := runLab(t, "github", "log")
	if fields := strings.Fields(log); err != nil || len(fields) != 6 || fields[2] != "503" || fields[5] != "nobody" {
		t.Errorf("lab github log: %q, %v", log, err)
	}
	for _, args := range [][]string{{"public", "on"}, {"corrupt", "on"}, {"min-version", "2.350.0"}, {"deprecate", "2.340.0", "soon"}} {
		if _, err := runLab(t, append([]string{"github"}, args...)...); err != nil {
			t.Errorf("lab github %v: %v", args, err)
		}
	}
	if _, err := runLab(t, "github", "busy", "oldpc", "on"); err == nil || !strings.Contains(err.Error(), `no runner "oldpc"`) {
		t.Errorf("lab github busy of a runner that is not there: %v", err)
	}
}

func TestStatusOfABoxThatIsOff(t *testing.T) {
	box(t, "oldpc")
	out, err := runLab(t, "status", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var boxes []boxStatus
	if err := json.Unmarshal([]byte(out), &boxes); err != nil || len(boxes) != 1 || boxes[0].Running || boxes[0].State.Ports.SSH != 2022 {
		t.Errorf("status: %s, %v", out, err)
	}
}

func TestBadArguments(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, args := range [][]string{{"up", "--rtc", "yesterday", "--no-build"}, {"up", "--name", "No Good", "--no-build"}, {"up", "--accel", "warp", "--no-build"}, {"cable", "sideways"}, {"link", "rate"}, {"github", "busy", "oldpc"}, {"github", "fail", "500"}} {
		if _, err := runLab(t, args...); err == nil {
			t.Errorf("lab %s was accepted", strings.Join(args, " "))
		}
	}
}

// Without a tailnet the installer is told of none: its section alone would make
// it ask for keys.
func TestTheConfigurationLeadsToTheTailnetThatThereIs(t *testing.T) {
	box(t, vm.DefaultName)
	opened, err := vm.Open(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	guest, err := opened.Find(vm.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	info := control.Info{LinkPort: 4022, Mirror: "http://127.0.0.1:4080"}
	if got := bootstrapConfig(guest, info); strings.Contains(got, "tail") {
		t.Errorf("without a tailnet: %s", got)
	}
	info.Tailnet = control.TailnetInfo{Control: "http://127.0.0.1:4090", API: "http://127.0.0.1:4091", AuthKey: "/run/key"}
	got := bootstrapConfig(guest, info)
	for _, want := range []string{
		"mirrors:\n  k3s: http://127.0.0.1:4080\n", "\n  tailscale: http://127.0.0.1:4080/tailscale\n  registries:",
		"\ntailnet:\n  tags: [\"tag:homelab\"]\n  loginServer: http://10.0.2.101\n  api: http://127.0.0.1:4091\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the configuration lacks %q:\n%s", want, got)
		}
	}
	values := map[string]string{}
	addTailnet(values, info)
	if values["tailscale_authkey"] != "/run/key" || values["tailnet_api"] != info.Tailnet.API {
		t.Errorf("lab env: %v", values)
	}
}

// The files lead through the link; only the default box's are in the run folder.
func TestFilesLeadThroughTheLink(t *testing.T) {
	for _, name := range []string{vm.DefaultName, "second"} {
		dir := box(t, name)
		opened, err := vm.Open(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		guest, err := opened.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		info := control.Info{LinkPort: 4022, Mirror: "http://127.0.0.1:4080", Registry: "http://127.0.0.1:4050", GitHub: "http://127.0.0.1:4060"}
		for range 2 { // each start writes them again
			if err := writeFiles(opened, guest, info); err != nil {
				t.Fatal(err)
			}
		}
		config, err := os.ReadFile(filepath.Join(dir, configFile))
		if err != nil || !strings.Contains(string(config), "port: 4022\n") || !strings.Contains(string(config), "k3s: http://127.0.0.1:4080\n") {
			t.Errorf("%s of %s: %s, %v", configFile, name, config, err)
		}
		if want := "registries:\n    docker.io: http://127.0.0.1:4050\n    ghcr.io: http://127.0.0.1:4050\n"; !strings.Contains(string(config), want) {
			t.Errorf("%s of %s does not lead to the registry: %s", configFile, name, config)
		}
		if want := "runner:\n  repository: omkar619-dev/studentsystemgo\n  server: http://10.0.2.100\n  api: http://127.0.0.1:4060/api/v3\n"; !strings.Contains(string(config), want) {
			t.Errorf("%s of %s does not lead to GitHub: %s", configFile, name, config)
		}
		if want := "  helm: http://127.0.0.1:4080/helm\n"; !strings.Contains(string(config), want) {
			t.Errorf("%s of %s does not lead to Helm: %s", configFile, name, config)
		}
		ssh, err := os.ReadFile(filepath.Join(dir, sshConfigFile))
		if err != nil || !strings.Contains(string(ssh), "Port 4022\n") {
			t.Errorf("%s of %s: %s, %v", sshConfigFile, name, ssh, err)
		}
		_, err = os.Stat(filepath.Join(opened.RunDir(), configFile))
		if isDefault := name == vm.DefaultName; isDefault != (err == nil) {
			t.Errorf("%s: %s in the run folder: %v", name, configFile, err)
		}
		if err := withdraw(guest); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, readyFile)); err == nil {
			t.Errorf("%s is still said to be ready", name)
		}
	}
}
