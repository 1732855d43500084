//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

// The second box, and the addresses of both on the cable between them. Each has
// the same address in the network of its own, which leads to neither.
const (
	joinName  = "newpc"
	serverLAN = "192.168.77.1"
	agentLAN  = "192.168.77.2"
	otherLAN  = "192.168.77.3"
)

// TestJoin makes a cluster of two boxes and takes it apart again.
func TestJoin(t *testing.T) {
	second := boxName() + "-" + joinName
	b := newBoxOf(t, vm.Options{Peer: second})
	b.bare = true
	n := newNeighbour(t, b, second)
	inOrder(t, []part[func(*testing.T, *box, *neighbour)]{
		{"there is nothing to join yet", nothingToJoin},
		{"two nodes are Ready", twoNodesAreReady},
		{"a pod on the one reaches a service on the other", aPodReachesTheOther},
		{"the server opens to its agent alone", theServerOpensToItsAgentAlone},
		{"join again changes nothing", joinAgainChangesNothing},
		{"a power cut of the agent heals", aPowerCutOfTheAgentHeals},
		{"a new disk takes the old name", aNewDiskTakesTheOldName},
		{"uninstall deletes the node", uninstallDeletesTheNode},
	}, func(t *testing.T, run func(*testing.T, *box, *neighbour)) { run(t, b, n) })
}

// neighbour is the second box.
type neighbour struct{ guest *vm.Guest }

// newNeighbour brings up a box with half of the memory at the other end of the
// cable, and tells the client of it.
func newNeighbour(t *testing.T, b *box, name string) *neighbour {
	t.Helper()
	n := &neighbour{freshGuest(t, b.lab, vm.Options{Name: name, MemoryMiB: 2048, Peer: boxName()})}
	l := listen(t, n.guest)
	b.hosts = fmt.Sprintf("  %s:\n    address: 127.0.0.1\n    port: %d\n    user: owner\n    identityFiles: [%s]\n    knownHostsFile: %s\n",
		joinName, l.Port(), n.guest.IdentityFile(), n.guest.KnownHostsFile())
	b.configure(t, b.client, b.mirror, "")
	b.root(t, onCable(serverLAN))
	n.plugIn(t)
	return n
}

// onCable gives the box its address there, now and after each boot.
func onCable(address string) string {
	return fmt.Sprintf(`cat >/etc/network/interfaces.d/cable <<END
auto ens8
iface ens8 inet static
	address %s/24
END
ifup ens8
`, address)
}

// plugIn puts the box on the cable and waits until the server answers there.
func (n *neighbour) plugIn(t *testing.T) {
	t.Helper()
	n.root(t, onCable(agentLAN)+"timeout 60 sh -c 'until timeout 2 bash -c \"</dev/tcp/"+serverLAN+"/22\"; do sleep 1; done' 2>/dev/null")
}

func (n *neighbour) root(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := n.guest.RunRoot(ctx, script)
	if err != nil {
		t.Fatalf("on %s: %v\n%s", joinName, err, out)
	}
	return string(out)
}

func nothingToJoin(t *testing.T, b *box, _ *neighbour) {
	r := b.client.start(t, nil, "install", "--host", joinName, "--join", hostName)
	if exit := r.wait(t); exit == 0 || !strings.Contains(r.stdout.String(), "not-installed") {
		t.Fatalf("joined a box without k3s: exit %d\n%s", exit, r.stdout.String())
	}
}

// nodes lists the nodes as the server has them: name, Ready, address.
const nodes = `k3s kubectl get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'`

func twoNodesAreReady(t *testing.T, b *box, _ *neighbour) {
	b.client.must(t, "install", "--host", hostName)
	before := b.k3sProcess(t)
	r := b.client.must(t, "install", "--host", joinName, "--join", hostName)
	t.Logf("joined in %s: %v", seconds(r.took), r.steps())
	want := joinName + " True " + agentLAN + "\n" + hostName + " True " + serverLAN
	if got := strings.TrimSpace(b.root(t, nodes)); got != want {
		t.Errorf("nodes:\n%s\nwant\n%s", got, want)
	}
	// The server had taken the address of its own network for its node's.
	if after := b.k3sProcess(t); after == before {
		t.Errorf("k3s on %s did not restart for its new address: %s", hostName, after)
	}
	if got := b.root(t, "stat -c '%a %U' /var/lib/rancher/k3s/server/token"); strings.TrimSpace(got) != "600 root" {
		t.Errorf("the server's token: %s", got)
	}
}

// aPodReachesTheOther asks the load balancer's pod on the new box, whose service
// is Traefik on the old one. The pods get there over the overlay.
func aPodReachesTheOther(t *testing.T, b *box, n *neighbour) {
	at := b.root(t, "k3s kubectl -n kube-system get pods -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{\"\\n\"}{end}'")
	for line := range strings.Lines(at) {
		if strings.HasPrefix(line, "traefik-") && !strings.Contains(line, " "+hostName) {
			t.Fatalf("Traefik is not on %s, so that this shows nothing: %s", hostName, line)
		}
	}
	b.root(t, "timeout 240 sh -c 'until k3s kubectl -n kube-system get pods -o wide --no-headers | grep \"^svclb-.* Running .* "+joinName+" \" >/dev/null; do sleep 2; done'")
	got := b.root(t, "timeout 120 bash -c 'until exec 3<>/dev/tcp/"+agentLAN+"/80; do sleep 1; done 2>/dev/null; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; head -n 1 <&3'")
	if !strings.Contains(got, " 404 ") {
		t.Errorf("Traefik through the pod on %s says %q", joinName, got)
	}
	// The server asks the agent's kubelet, which its firewall lets it.
	b.root(t, "k3s kubectl -n kube-system get pods -o wide --no-headers | awk '$7 == \""+joinName+"\" { print $1 }' | head -n 1 | xargs k3s kubectl -n kube-system logs --all-containers --tail=1")
	if got := n.root(t, "ip -d link show flannel.1"); !strings.Contains(got, "local "+agentLAN) {
		t.Errorf("the overlay is not on the cable: %s", got)
	}
}

// tries connects from the new box to the old one as the agent and as a neighbour
// that is none, and prints what comes of it.
const tries = `try() {
	for port in 22 6443 10250; do
		if said=$(timeout 5 bash -c "</dev/tcp/` + serverLAN + `/$port" 2>&1); then said=open; else said=$(echo "$said" | grep -o -m 1 'Connection refused' || echo silence); fi
		echo "$1 $port $said"
	done
}
try agent
ip addr add ` + otherLAN + `/32 dev ens8
ip route add ` + serverLAN + `/32 dev ens8 src ` + otherLAN + `
try other
ip route del ` + serverLAN + `/32 dev ens8
ip addr del ` + otherLAN + `/32 dev ens8
`

func theServerOpensToItsAgentAlone(t *testing.T, b *box, n *neighbour) {
	want := "agent 22 open\nagent 6443 open\nagent 10250 open\nother 22 open\nother 6443 Connection refused\nother 10250 Connection refused\n"
	if got := n.root(t, tries); got != want {
		t.Errorf("from %s:\n%swant\n%s", joinName, got, want)
	}
	// The neighbours of its other network are kept out as before.
	theAPIRefusesTheLAN(t, b, &figures{})
}

func joinAgainChangesNothing(t *testing.T, b *box, n *neighbour) {
	const agent = "systemctl show k3s-agent -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts"
	server, before := b.k3sProcess(t), n.root(t, agent)
	for _, args := range [][]string{{"plan", "--exit-code", "--host", joinName, "--join", hostName}, {"install", "--host", joinName, "--join", hostName}, {"plan", "--exit-code", "--host", hostName}} {
		b.client.must(t, args...)
	}
	if after := n.root(t, agent); after != before {
		t.Errorf("the agent restarted: %s, %s", before, after)
	}
	if after := b.k3sProcess(t); after != server {
		t.Errorf("the server restarted: %s, %s", server, after)
	}
}

func aPowerCutOfTheAgentHeals(t *testing.T, b *box, n *neighbour) {
	if err := n.guest.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.guest.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.client.must(t, "install", "--host", joinName, "--join", hostName)
	b.client.must(t, "status", "--host", joinName)
}

func aNewDiskTakesTheOldName(t *testing.T, b *box, n *neighbour) {
	if err := n.guest.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.guest.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.plugIn(t)
	// Somebody looks after a machine that is gone; Kubernetes takes a while to.
	b.root(t, "k3s kubectl wait --for=condition=Ready=Unknown --timeout=240s node/"+joinName)
	b.client.must(t, "install", "--host", joinName, "--join", hostName)
	b.client.must(t, "status", "--host", joinName)
}

func uninstallDeletesTheNode(t *testing.T, b *box, n *neighbour) {
	b.client.must(t, "uninstall", "--host", joinName, "--confirm", joinName)
	if got := strings.TrimSpace(b.root(t, nodes)); got != hostName+" True "+serverLAN {
		t.Errorf("nodes: %s", got)
	}
	if got := n.root(t, "ls -d /usr/local/bin/k3s /etc/rancher/k3s /var/lib/rancher/k3s 2>/dev/null || true; ip -o link | grep -c -e cni0 -e flannel || true"); strings.TrimSpace(got) != "0" {
		t.Errorf("left on %s: %s", joinName, got)
	}
	want := "agent 22 open\nagent 6443 Connection refused\nagent 10250 Connection refused\n"
	if got := n.root(t, tries); !strings.HasPrefix(got, want) {
		t.Errorf("after it left:\n%swant\n%s", got, want)
	}
	b.client.must(t, "plan", "--exit-code", "--host", hostName)
}
