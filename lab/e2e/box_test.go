//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
	"github.com/omkar619-dev/ssg-bootstrap/lab/link"
	"github.com/omkar619-dev/ssg-bootstrap/lab/mirror"
	"github.com/omkar619-dev/ssg-bootstrap/lab/registry"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

// hostName is what the client calls the box.
const hostName = "oldpc"

// box is a fresh emulated PC, the bad link in front of it, the mirror that it
// never sees, and a client that knows them.
type box struct {
	lab    vm.Lab
	guest  *vm.Guest
	link   *link.Link
	mirror string
	// registry is where images come from; images counts what left it.
	registry string
	images   *registry.Registry
	// bare leaves the application out of what is installed.
	bare bool
	// github is there once the box is to be a runner; begun is how many requests
	// it had seen when they were last counted.
	github *github.Server
	begun  int
	// hosts are further hosts of each configuration.
	hosts string
	// sections are added to each configuration, env to each client's environment.
	sections string
	env      []string
	dir      string
	client   *client
}

// keepVariable, if set, takes the box as the last run left it: for work on one
// part, as in E2E_KEEP=1 make e2e RUN='TestCore/the_cluster'.
const keepVariable = "E2E_KEEP"

// nameVariable, if set, is another name for the box: for a second one beside it.
const nameVariable = "E2E_BOX"

// newBox brings up a box with a fresh disk. The guest stays up afterwards, so
// that a failure can be looked at with `lab ssh --name e2e`.
func newBox(t *testing.T) *box {
	t.Helper()
	return newBoxOf(t, vm.Options{})
}

// newBoxOf is newBox for another hardware.
func newBoxOf(t *testing.T, options vm.Options) *box {
	t.Helper()
	bin := os.Getenv("SSG_BOOTSTRAP")
	if bin == "" {
		t.Fatal("SSG_BOOTSTRAP must name the built ssg-bootstrap: run `make e2e`")
	}
	lab, err := vm.Open(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b := &box{lab: lab, dir: t.TempDir()}
	options.Name = boxName()
	b.guest = freshGuest(t, lab, options)
	b.link = listen(t, b.guest)
	b.mirror = serveMirror(t, lab.Mirror())
	b.images = registry.New(lab.Images())
	b.registry = serve(t, b.images)
	b.client = b.newClient(t, bin, b.mirror)
	return b
}

func boxName() string { return cmp.Or(os.Getenv(nameVariable), "e2e") }

func freshGuest(t *testing.T, lab vm.Lab, options vm.Options) *vm.Guest {
	t.Helper()
	ctx := t.Context()
	begin := time.Now()
	old, err := lab.Find(options.Name)
	if err == nil && os.Getenv(keepVariable) == "" {
		if err := old.Remove(ctx); err != nil {
			t.Fatalf("remove the box of an earlier run: %v", err)
		}
	}
	guest, err := lab.Up(ctx, options)
	if err != nil {
		t.Fatalf("bring up the box: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if err := guest.Down(context.Background()); err != nil {
			t.Errorf("switch the box off: %v", err)
		}
	})
	t.Logf("box %s is up after %s, acceleration %s", options.Name, seconds(time.Since(begin)), guest.State().Accel)
	return guest
}

func listen(t *testing.T, guest *vm.Guest) *link.Link {
	t.Helper()
	l, err := link.Listen("127.0.0.1:0", guest.SSHAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := guest.LeadsHere(l.Port()); err != nil {
		t.Fatal(err)
	}
	return l
}

func serveMirror(t *testing.T, dir string, faults ...mirror.Fault) string {
	t.Helper()
	return serve(t, mirror.New(dir, faults...))
}

// serve serves until the test ends and returns the address.
func serve(t *testing.T, what http.Handler) string {
	t.Helper()
	server, err := mirror.Listen("127.0.0.1:0", what)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server.URL()
}

// newClient makes a home and a configuration. Artifacts come from the mirror
// each time, because the home is new.
func (b *box) newClient(t *testing.T, bin, mirrorURL string) *client {
	t.Helper()
	password, err := os.ReadFile(b.guest.PasswordFile())
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp(b.dir, "home")
	if err != nil {
		t.Fatal(err)
	}
	c := &client{
		bin: bin, home: home, config: filepath.Join(home, "ssg-bootstrap.yaml"),
		env: append([]string{"SSG_SUDO_PASSWORD=" + strings.TrimSpace(string(password))}, b.env...),
	}
	b.configure(t, c, mirrorURL, "")
	return c
}

// configure writes the client's configuration; profile may be empty.
func (b *box) configure(t *testing.T, c *client, mirrorURL, profile string) {
	t.Helper()
	var y strings.Builder
	fmt.Fprintf(&y, "hosts:\n  %s:\n    address: 127.0.0.1\n    port: %d\n    user: owner\n", hostName, b.link.Port())
	fmt.Fprintf(&y, "    identityFiles: [%s]\n    knownHostsFile: %s\n", b.guest.IdentityFile(), b.guest.KnownHostsFile())
	if profile != "" {
		fmt.Fprintf(&y, "    profile: %s\n", profile)
	}
	y.WriteString(b.hosts)
	fmt.Fprintf(&y, "release:\n  enabled: %t\n", !b.bare)
	fmt.Fprintf(&y, "mirrors:\n  k3s: %[1]s\n  helm: %[1]s/helm\n  tailscale: %[1]s/tailscale\n  registries: {docker.io: %[2]q, ghcr.io: %[2]q}\n%[3]s", mirrorURL, b.registry, b.sections)
	writeFile(t, c.config, y.String())
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// root runs a script on the box as root, past the link.
func (b *box) root(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := b.guest.RunRoot(ctx, script)
	if err != nil {
		t.Fatalf("on the box: %v\n%s", err, out)
	}
	return string(out)
}

// k3sProcess is what changes when k3s is restarted.
func (b *box) k3sProcess(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(b.root(t, "systemctl show k3s -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts"))
}
