package control_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
	"github.com/omkar619-dev/ssg-bootstrap/lab/link"
)

// start serves in the background and returns a client and the server's end.
func start(t *testing.T, config control.Config) (*control.Client, control.Info, chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { defer close(ended); ended <- control.Serve(ctx, config) }()
	// Its folders are removed after the test, and it must not work in them then.
	t.Cleanup(func() {
		cancel()
		for range ended {
		}
	})
	client := control.Dial(config.Socket)
	deadline, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := client.Info(deadline)
		if err == nil {
			return client, info, ended
		}
		select {
		case err := <-ended:
			t.Fatalf("ended at once: %v", err)
		case <-deadline.Done():
			t.Fatalf("does not answer: %v", err)
		case <-tick.C:
		}
	}
}

func socket(t *testing.T) string {
	// The test's own folder may be too deep for a socket's name.
	dir, err := os.MkdirTemp("", "control-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestKnobsReachTheLink(t *testing.T) {
	config := control.Config{Socket: socket(t), Target: "127.0.0.1:1", Mirror: t.TempDir(), Build: "one"}
	client, info, _ := start(t, config)
	if info.Build != "one" || info.Target != config.Target || info.PID != os.Getpid() {
		t.Errorf("info is %+v", info)
	}
	for _, step := range []struct {
		verb, value, way string
		check            func(link.Stats) bool
	}{
		{"rate", "2mbit", "", func(s link.Stats) bool { return s.UpRate == 2*link.Mbit && s.DownRate == 2*link.Mbit }},
		{"rate", "1mbit", "up", func(s link.Stats) bool { return s.UpRate == link.Mbit && s.DownRate == 2*link.Mbit }},
		{"rate", "unlimited", "", func(s link.Stats) bool { return s.UpRate == 0 && s.DownRate == 0 }},
		{"latency", "80ms", "", func(s link.Stats) bool { return s.Latency == 80*time.Millisecond }},
		{"stall", "", "", func(s link.Stats) bool { return s.Stalled }},
		{"resume", "", "", func(s link.Stats) bool { return !s.Stalled }},
		{"cut", "", "", func(s link.Stats) bool { return s.Cut }},
		{"restore", "", "", func(s link.Stats) bool { return !s.Cut }},
		{"cut-after", "0", "down", func(s link.Stats) bool { return s.Cut }},
	} {
		if err := client.Turn(t.Context(), step.verb, step.value, step.way); err != nil {
			t.Errorf("%s %s: %v", step.verb, step.value, err)
		}
		info, err := client.Info(t.Context())
		if err != nil || !step.check(info.Link) {
			t.Errorf("after %s %s %s: %+v, %v", step.verb, step.value, step.way, info.Link, err)
		}
	}
	for _, bad := range [][3]string{{"rate", "fast", ""}, {"rate", "2mbit", "left"}, {"latency", "-1s", ""}, {"cut-after", "x", "up"}, {"cut-after", "5", ""}, {"melt", "", ""}} {
		if err := client.Turn(t.Context(), bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestOnlyTheUserReachesTheSocket(t *testing.T) {
	config := control.Config{Socket: socket(t), Target: "127.0.0.1:1", Mirror: t.TempDir()}
	start(t, config)
	info, err := os.Stat(config.Socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
}

func TestQuitFreesThePortsForTheNextServer(t *testing.T) {
	config := control.Config{Socket: socket(t), Target: "127.0.0.1:1", Mirror: t.TempDir()}
	client, first, ended := start(t, config)
	if err := client.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := client.Info(t.Context()); !errors.Is(err, control.ErrNotServing) {
		t.Errorf("after quit: %v", err)
	}
	config.LinkPort = first.LinkPort
	_, second, _ := start(t, config)
	if second.LinkPort != first.LinkPort {
		t.Errorf("the link moved from %d to %d", first.LinkPort, second.LinkPort)
	}
}

func TestTakenPortsGiveWay(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, info, _ := start(t, control.Config{Socket: socket(t), Target: "127.0.0.1:1", Mirror: t.TempDir(), LinkPort: port, MirrorPort: port})
	if info.LinkPort == port || info.Mirror == "http://127.0.0.1:"+strconv.Itoa(port) {
		t.Errorf("serves on a port that is taken: %+v", info)
	}
}

func TestMirrorIsServed(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "k3s-io", "k3s", "releases", "download", "v1.36.4+k3s1")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "sha256sum-amd64.txt"), []byte("sums\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, info, _ := start(t, control.Config{Socket: socket(t), Target: "127.0.0.1:1", Mirror: dir})
	response, err := http.Get(info.Mirror + "/k3s-io/k3s/releases/download/v1.36.4+k3s1/sha256sum-amd64.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "sums\n" {
		t.Errorf("%s: %q, %v", response.Status, body, err)
	}
}

func TestRegistryIsServedAndCounted(t *testing.T) {
	dir := t.TempDir()
	img, err := random.Image(1024, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.WriteLayout(filepath.Join(dir, "app"), []image.Named{{Name: "ghcr.io/owner/app:latest", Image: img}}); err != nil {
		t.Fatal(err)
	}
	client, info, _ := start(t, control.Config{Socket: socket(t), Target: "127.0.0.1:1", Mirror: t.TempDir(), Images: dir})
	response, err := http.Get(info.Registry + "/v2/owner/app/manifests/latest")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %q, %v", response.Status, body, err)
	}
	if info, err = client.Info(t.Context()); err != nil || info.Pulled.ManifestBytes != int64(len(body)) {
		t.Errorf("counted %+v, %v after %d bytes", info.Pulled, err, len(body))
	}
}

// GitHub's stand-in answers the workstation and the box, under the address that
// each of them knows, and keeps what it knows when the server is another one.
func TestGitHubIsServedToBoth(t *testing.T) {
	dir := filepath.Dir(socket(t))
	config := control.Config{
		Socket: filepath.Join(dir, "s"), Target: "127.0.0.1:1", Mirror: t.TempDir(),
		GitHub: control.GitHub{State: filepath.Join(dir, "github.json"), Token: filepath.Join(dir, "token"), Reader: filepath.Join(dir, "reader"), Socket: filepath.Join(dir, "g")},
	}
	client, info, ended := start(t, config)
	token, err := os.ReadFile(config.GitHub.Token)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{config.GitHub.Token, config.GitHub.Reader, config.GitHub.Socket} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", file, info, err)
		}
	}
	box := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", config.GitHub.Socket)
	}}}
	ask := func(client *http.Client, base string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v3/repos/"+github.DefaultRepository, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		answer, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", answer.Status, body, err)
		}
		return string(body)
	}
	for who, base := range map[*http.Client]string{http.DefaultClient: info.GitHub, box: "http://10.0.2.100"} {
		if got, want := ask(who, base), `"html_url":"`+base+"/"+github.DefaultRepository+`"`; !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if _, err := client.GitHub(t.Context(), "public", "on"); err != nil {
		t.Fatal(err)
	}
	log, err := client.GitHub(t.Context(), "log")
	if err != nil || strings.Count(string(log), `"who":"write token"`) != 2 {
		t.Errorf("log: %s, %v", log, err)
	}
	if _, err := client.GitHub(t.Context(), "melt"); err == nil {
		t.Error("melt was accepted")
	}
	if err := client.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	_, again, _ := start(t, config)
	if kept, err := os.ReadFile(config.GitHub.Token); err != nil || string(kept) != string(token) {
		t.Errorf("the token is another one, %v", err)
	}
	if got := ask(http.DefaultClient, again.GitHub); !strings.Contains(got, `"private":false`) {
		t.Errorf("the repository is private again: %s", got)
	}
}
