//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// tailnet is the lab's, as it runs beside a box.
type tailnet struct {
	client *control.Client
	info   control.TailnetInfo
	begun  int // the last request that was looked at
}

// tailnetDevice is the part of a device that the tests look at.
type tailnetDevice struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Tags      []string `json:"tags"`
	Connected bool     `json:"connectedToControl"`
}

// inTailnet adds to the configuration what makes the box a node, and runs a
// tailnet until the test ends.
func (b *box) inTailnet(t *testing.T) *tailnet {
	t.Helper()
	program, err := filepath.EvalSymlinks(b.lab.Tailnet())
	if err != nil {
		t.Fatalf("the lab's tailnet is not built: run `make lab-build`: %v", err)
	}
	leave, err := control.ServeTailnet(context.Background(), control.Tailnet{Program: program, Dir: b.guest.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
	n := &tailnet{client: control.Dial(filepath.Join(b.guest.Dir(), control.TailnetSocket))}
	eventually(t, "the workstation to join the tailnet", func(ctx context.Context) (bool, string) {
		n.info, err = n.client.TailnetInfo(ctx)
		return err == nil && n.info.Proxy != "", fmt.Sprint(n.info, err)
	})
	b.sections += fmt.Sprintf("tailnet:\n  loginServer: http://%s\n  api: %s\n", strings.TrimSuffix(vm.TailnetControlAddr, ":80"), n.info.API)
	b.env = append(b.env, "TS_API_CLIENT_ID="+secretIn(t, n.info.ClientID), "TS_API_CLIENT_SECRET="+secretIn(t, n.info.ClientSecret))
	b.client = b.newClient(t, b.client.bin, b.mirror)
	return n
}

func secretIn(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

func (n *tailnet) turn(t *testing.T, verb string, args ...string) []byte {
	t.Helper()
	said, err := n.client.TurnTailnet(t.Context(), verb, args...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// device returns the device of the box's name, and fails if another one was
// given that name with a number.
func (n *tailnet) device(t *testing.T) tailnetDevice {
	t.Helper()
	var devices, found []tailnetDevice
	must(t, json.Unmarshal(n.turn(t, "devices"), &devices))
	for _, d := range devices {
		if strings.HasPrefix(d.Name, hostName) {
			found = append(found, d)
		}
	}
	if len(found) != 1 || !strings.HasPrefix(found[0].Name, hostName+".") {
		t.Fatalf("the tailnet's devices: %+v", devices)
	}
	return found[0]
}

// writes are the requests since the last call that changed something.
func (n *tailnet) writes(t *testing.T) []string {
	t.Helper()
	var log []struct {
		Number             int
		Part, Method, Path string
		Note               string
		Write              bool
	}
	must(t, json.Unmarshal(n.turn(t, "log", strconv.Itoa(n.begun)), &log))
	var out []string
	for _, e := range log {
		n.begun = max(n.begun, e.Number)
		if e.Write {
			out = append(out, strings.TrimSpace(strings.Join([]string{e.Part, e.Method, e.Path, e.Note}, " ")))
		}
	}
	return out
}

// dial connects to the box through the tailnet, from the workstation's node.
func (n *tailnet) dial(ctx context.Context, port int) (net.Conn, error) {
	return control.DialTailnet(ctx, n.info.Proxy, net.JoinHostPort(hostName, strconv.Itoa(port)))
}

// onlyTailnet are the arguments that leave everything else alone.
func onlyTailnet(verb string) []string {
	return []string{verb, "--host", hostName, "--only", "tailnet-binary,tailnet-service,tailnet-node"}
}

func TestTailnet(t *testing.T) {
	b := newBox(t)
	b.bare = true
	n, f := b.inTailnet(t), &figures{}
	t.Cleanup(func() { f.print(t) })
	inOrder(t, []part[func(*testing.T, *box, *tailnet, *figures)]{
		{"what the tailnet refuses is said, and nothing is left of it", tailnetRefuses},
		{"install joins, and no argument holds a key", tailnetIsJoined},
		{"install again asks little and changes nothing", tailnetStays},
		{"a new disk gives the same name", tailnetOnANewDisk},
		{"the API answers in the tailnet and not on the LAN", apiInTailnetOnly},
	}, func(t *testing.T, run func(*testing.T, *box, *tailnet, *figures)) { run(t, b, n, f) })
}

// theBoxIsInATailnet is the core of it for any box.
func theBoxIsInATailnet(t *testing.T, b *box, f *figures) {
	n := b.inTailnet(t)
	tailnetIsJoined(t, b, n, f)
	tailnetStays(t, b, n, f)
}

func tailnetRefuses(t *testing.T, b *box, n *tailnet, _ *figures) {
	var expired string
	must(t, json.Unmarshal(n.turn(t, "new-key", "expired"), &expired))
	withKey := *b.client
	withKey.env = append(slices.DeleteFunc(slices.Clone(b.client.env), func(v string) bool { return strings.HasPrefix(v, "TS_") }), "TS_AUTHKEY="+expired)
	withKey.refused(t, 1, "tailnet-refused", onlyTailnet("install")...)

	sections := b.sections
	b.sections += "  tags: [\"tag:other\"]\n"
	b.newClient(t, b.client.bin, b.mirror).refused(t, 1, "tailnet-refused", onlyTailnet("install")...)
	b.sections = sections

	n.turn(t, "hold-name", hostName)
	b.client.refused(t, 1, "tailnet-name-taken", onlyTailnet("install")...)
	n.turn(t, "release-name", hostName)

	n.turn(t, "down")
	b.client.refused(t, 1, "tailnet-unreachable", onlyTailnet("install")...)
	n.turn(t, "up")
	if got := b.root(t, "ls /run/ssg-bootstrap/*key* 2>/dev/null || :"); got != "" {
		t.Errorf("keys are left: %s", got)
	}
	// A device that is away makes room for the box.
	n.turn(t, "hold-name", hostName, "dead")
}

// tsArgvWatch notes every command line with something of the form of one of
// Tailscale's keys, and its form is such that it does not see itself.
const tsArgvWatch = `cat >/run/ts-watch.sh <<'WATCH'
while :; do
  cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -aE 'tskey-[a-z]+-[A-Za-z0-9]' >>/run/ts-seen
  sleep 0.1
done
WATCH
: >/run/ts-seen
systemctl stop ts-watch 2>/dev/null || : # of a run that broke off
systemd-run -q --unit=ts-watch sh /run/ts-watch.sh`

func tailnetIsJoined(t *testing.T, b *box, n *tailnet, f *figures) {
	b.root(t, tsArgvWatch)
	r := b.client.must(t, onlyTailnet("install")...)
	if seen := b.root(t, "systemctl stop ts-watch; cat /run/ts-seen; rm -f /run/ts-*"); seen != "" {
		t.Errorf("keys in arguments: %s", seen)
	}
	f.add(t, "joining the tailnet, programs included", "%s", seconds(r.took))
	b.isNode(t, n)
	f.add(t, "memory of tailscaled", "%s", strings.TrimSpace(b.root(t, "systemctl show -P MemoryCurrent tailscaled | awk '{printf \"%.1f MB\", $1/1e6}'")))
	if got := b.root(t, "grep -rlE 'tskey-[a-z]+-[A-Za-z0-9]' /etc /run /var/log /root /home 2>/dev/null || :"); got != "" {
		t.Errorf("keys in files: %s", got)
	}
	if got := b.root(t, "journalctl --no-pager -o cat | grep -E 'tskey-[a-z]+-[A-Za-z0-9]' || :"); got != "" {
		t.Errorf("keys in the journal: %s", got)
	}
}

// isNode fails the test unless the box is in the tailnet by its name and tag,
// and reached through it.
func (b *box) isNode(t *testing.T, n *tailnet) {
	t.Helper()
	var is struct {
		BackendState string
		Self         struct {
			DNSName string
			Tags    []string
		}
	}
	must(t, json.Unmarshal([]byte(b.root(t, "tailscale status --json --peers=false")), &is))
	if is.BackendState != "Running" || !strings.HasPrefix(is.Self.DNSName, hostName+".") || !slices.Contains(is.Self.Tags, "tag:homelab") {
		t.Errorf("the node says %+v", is)
	}
	if d := n.device(t); !d.Connected {
		t.Errorf("the tailnet says %+v", d)
	}
	eventually(t, "sshd to answer in the tailnet", func(ctx context.Context) (bool, string) {
		conn, err := n.dial(ctx, 22)
		if err != nil {
			return false, err.Error()
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		banner, err := bufio.NewReader(conn).ReadString('\n')
		return strings.HasPrefix(banner, "SSH-2.0-"), fmt.Sprintf("%q, %v", banner, err)
	})
}

func tailnetStays(t *testing.T, b *box, n *tailnet, f *figures) {
	n.writes(t)
	before := b.root(t, "systemctl show -P MainPID tailscaled")
	r := b.client.must(t, onlyTailnet("install")...)
	f.add(t, "install again, the tailnet alone", "%s", seconds(r.took))
	if got := n.writes(t); len(got) != 0 {
		t.Errorf("the second run wrote: %v", got)
	}
	if after := b.root(t, "systemctl show -P MainPID tailscaled"); after != before {
		t.Errorf("tailscaled was restarted: %s after %s", after, before)
	}
}

func tailnetOnANewDisk(t *testing.T, b *box, n *tailnet, _ *figures) {
	b.newDisk(t)
	b.client.must(t, onlyTailnet("install")...)
	b.isNode(t, n)
}

// overTailnet goes the user's way from another node of the tailnet: with the
// context that `kubeconfig --via tailnet` writes. The name in it is the one that
// the API's certificate is held against.
func (b *box) overTailnet(t *testing.T, n *tailnet) *kubernetes.Clientset {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	b.client.must(t, "kubeconfig", "--host", hostName, "--via", "tailnet", "--kubeconfig", path)
	config, err := clientcmd.BuildConfigFromFlags("", path)
	must(t, err)
	config.Timeout = 30 * time.Second
	config.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return n.dial(ctx, 6443) }
	kube, err := kubernetes.NewForConfig(config)
	must(t, err)
	return kube
}

func apiInTailnetOnly(t *testing.T, b *box, n *tailnet, _ *figures) {
	b.client.must(t, "install", "--host", hostName)
	kube := b.overTailnet(t, n)
	eventually(t, "the API in the tailnet", func(ctx context.Context) (bool, string) {
		nodes, err := kube.CoreV1().Nodes().List(ctx, meta.ListOptions{})
		return err == nil && len(nodes.Items) == 1, fmt.Sprint(err)
	})
	conn, err := net.DialTimeout("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.guest.State().Ports.API)), 5*time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	// The emulator takes any connection; what counts is whether somebody answers.
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = fmt.Fprint(conn, "GET /readyz HTTP/1.0\r\n\r\n")
	if said, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
		t.Errorf("on the LAN the API says %q", said)
	}
}
