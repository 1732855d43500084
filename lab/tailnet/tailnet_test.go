package tailnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tailscale.com/client/tailscale/v2"
	"tailscale.com/envknob"
	"tailscale.com/ipn"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tsnet"
)

func TestMain(m *testing.M) {
	envknob.SetNoLogsNoSupport()
	for _, knob := range []string{"TS_PANIC_IF_HIT_MAIN_CONTROL", "TS_DISABLE_PORTMAPPER", "TS_ASSUME_NETWORK_UP_FOR_TEST"} {
		envknob.Setenv(knob, "1")
	}
	os.Exit(m.Run())
}

// patience is far more than anything here takes; a node that has lost control
// tries again after half a minute at most.
const patience = 2 * time.Minute

// start opens the tailnet of a folder; stop ends it as a killed process would.
func start(t *testing.T, dir string) (s *Server, stop func()) {
	t.Helper()
	s, err := Open(dir, testLog())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.Listen(ctx, Sockets{}); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		cancel()
		_ = s.Close()
	}
	t.Cleanup(stop)
	return s, stop
}

func testLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// turn turns a switch and returns what it says, if that is text.
func turn(t *testing.T, s *Server, verb string, args ...string) string {
	t.Helper()
	said, err := s.Turn(verb, args)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := said.(string)
	return text
}

// box is a real node whose disk is a folder.
func box(t *testing.T, s *Server, dir, hostname, key string, tags ...string) *tsnet.Server {
	t.Helper()
	node := &tsnet.Server{
		Dir: dir, Hostname: hostname, ControlURL: s.ControlURL(), AuthKey: key, AdvertiseTags: tags,
		Logf: func(string, ...any) {}, UserLogf: func(string, ...any) {},
	}
	t.Cleanup(func() { node.Close() })
	return node
}

// disk is a folder for a node. One that has been closed still writes for a
// moment, so it is removed until it stays away.
func disk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tailnet-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { await(t, "the disk goes", func() bool { return os.RemoveAll(dir) == nil }) })
	return dir
}

func up(t *testing.T, node *tsnet.Server) (*ipnstate.Status, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return node.Up(ctx)
}

func mustUp(t *testing.T, node *tsnet.Server) *ipnstate.Status {
	t.Helper()
	status, err := up(t, node)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

func status(t *testing.T, node *tsnet.Server) *ipnstate.Status {
	t.Helper()
	local, err := node.LocalClient()
	if err != nil {
		t.Fatal(err)
	}
	is, err := local.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func found(t *testing.T, s *Server, name string) Device {
	t.Helper()
	for _, d := range s.Devices() {
		if d.Name == name+"."+Domain {
			return d
		}
	}
	t.Fatalf("no device %s among %v", name, s.Devices())
	return Device{}
}

func TestANodeJoinsOnceWithAOneOffKey(t *testing.T) {
	s, _ := start(t, disk(t))
	key := turn(t, s, "new-key", "one-off")
	is := mustUp(t, box(t, s, disk(t), "oldpc", key, HomelabTag))
	if is.Self.DNSName != "oldpc."+Domain+"." || is.Self.Tags == nil || !slices.Contains(is.Self.Tags.AsSlice(), HomelabTag) {
		t.Errorf("it is %s with %v", is.Self.DNSName, is.Self.Tags)
	}
	if got := found(t, s, "oldpc"); !got.ConnectedToControl || got.LastSeen != nil || !got.KeyExpiryDisabled || got.Addresses[0] != is.TailscaleIPs[0].String() {
		t.Errorf("the API says %+v of a node with %v", got, is.TailscaleIPs)
	}
	if _, err := up(t, box(t, s, disk(t), "second", key, HomelabTag)); err == nil || !strings.Contains(err.Error(), "invalid key") {
		t.Errorf("the key's second use: %v", err)
	}
	if got := len(s.Devices()); got != 1 {
		t.Errorf("%d devices", got)
	}
}

func TestKeysThatDoNotOpen(t *testing.T) {
	s, _ := start(t, disk(t))
	good := turn(t, s, "new-key")
	for what, bad := range map[string]struct {
		key, tag, says string
	}{
		"expired":       {turn(t, s, "new-key", "expired"), HomelabTag, "invalid key"},
		"made up":       {"tskey-auth-nobody", HomelabTag, "invalid key"},
		"for other tag": {good, OtherTag, "requested tags [tag:other] are invalid or not permitted"},
		"unknown tag":   {good, "tag:nobody", "requested tags [tag:nobody] are invalid or not permitted"},
	} {
		if _, err := up(t, box(t, s, disk(t), "oldpc", bad.key, bad.tag)); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	turn(t, s, "expire-keys")
	if _, err := up(t, box(t, s, disk(t), "oldpc", good, HomelabTag)); err == nil {
		t.Error("a key that has expired since opens")
	}
	if got := len(s.Devices()); got != 0 {
		t.Errorf("%d devices", got)
	}
}

func TestATakenNameGetsANumber(t *testing.T) {
	s, _ := start(t, disk(t))
	key := turn(t, s, "new-key")
	turn(t, s, "hold-name", "oldpc")
	if got := found(t, s, "oldpc"); !got.ConnectedToControl {
		t.Error("who holds the name is not connected")
	}
	if got := mustUp(t, box(t, s, disk(t), "oldpc", key, HomelabTag)).Self.DNSName; got != "oldpc-1."+Domain+"." {
		t.Errorf("beside the one who has the name it is %s", got)
	}
	turn(t, s, "release-name", "oldpc")
	turn(t, s, "hold-name", "oldpc", "dead")
	if got := found(t, s, "oldpc"); got.ConnectedToControl || got.LastSeen == nil {
		t.Error("a dead holder of the name is connected")
	}
}

func TestAWipedNodeIsAnotherDeviceAndARestoredOneTheSame(t *testing.T) {
	s, _ := start(t, disk(t))
	key, kept := turn(t, s, "new-key"), disk(t)
	first := box(t, s, kept, "oldpc", key, HomelabTag)
	before := mustUp(t, first)
	first.Close()
	await(t, "the API hears that the node has gone", func() bool { return !found(t, s, "oldpc").ConnectedToControl })

	again := box(t, s, kept, "oldpc", "", HomelabTag)
	if after := mustUp(t, again); after.TailscaleIPs[0] != before.TailscaleIPs[0] || len(s.Devices()) != 1 {
		t.Errorf("with its disk it has %v after %v; %d devices", after.TailscaleIPs, before.TailscaleIPs, len(s.Devices()))
	}
	again.Close()
	wiped := mustUp(t, box(t, s, disk(t), "oldpc", key, HomelabTag))
	if wiped.TailscaleIPs[0] == before.TailscaleIPs[0] || wiped.Self.DNSName != "oldpc-1."+Domain+"." {
		t.Errorf("without its disk it is %s at %v", wiped.Self.DNSName, wiped.TailscaleIPs)
	}
}

func TestADeletedDeviceHasToLogIn(t *testing.T) {
	s, _ := start(t, disk(t))
	node := box(t, s, disk(t), "oldpc", turn(t, s, "new-key"), HomelabTag)
	mustUp(t, node)
	api := client(s)
	if err := api.Devices().Delete(t.Context(), found(t, s, "oldpc").NodeID); err != nil {
		t.Fatal(err)
	}
	await(t, "the node notices", func() bool { return status(t, node).BackendState == ipn.NeedsLogin.String() })
	if got := len(s.Devices()); got != 0 {
		t.Errorf("%d devices", got)
	}
}

func TestADeviceDeletedWhileItWasOffHasToLogIn(t *testing.T) {
	s, _ := start(t, disk(t))
	kept := disk(t)
	node := box(t, s, kept, "oldpc", turn(t, s, "new-key"), HomelabTag)
	mustUp(t, node)
	node.Close()
	await(t, "the API hears that the node has gone", func() bool { return !found(t, s, "oldpc").ConnectedToControl })
	turn(t, s, "delete", "oldpc")
	node = box(t, s, kept, "oldpc", "", HomelabTag)
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	// This node may run on what it remembers of the tailnet meanwhile.
	await(t, "the node is asked to log in", func() bool {
		is := status(t, node)
		return is.BackendState == ipn.NeedsLogin.String() || is.AuthURL != ""
	})
}

func TestADeviceDeletedWhileControlWasAwayHasToLogIn(t *testing.T) {
	s, _ := start(t, disk(t))
	node := box(t, s, disk(t), "oldpc", turn(t, s, "new-key"), HomelabTag)
	mustUp(t, node)
	turn(t, s, "down", controlPart)
	turn(t, s, "delete", "oldpc")
	turn(t, s, "up", controlPart)
	await(t, "the node notices", func() bool { return status(t, node).BackendState == ipn.NeedsLogin.String() })
}

func TestAnExpiredDeviceHasToLogIn(t *testing.T) {
	s, _ := start(t, disk(t))
	node := box(t, s, disk(t), "oldpc", turn(t, s, "new-key"), HomelabTag)
	mustUp(t, node)
	turn(t, s, "expire", "oldpc")
	await(t, "the node notices", func() bool { return status(t, node).BackendState == ipn.NeedsLogin.String() })
}

// What was known before the process ended is known after: nobody has to join again.
func TestTheTailnetSurvivesARestart(t *testing.T) {
	dir := disk(t)
	s, stop := start(t, dir)
	key := turn(t, s, "new-key", "one-off")
	node := box(t, s, disk(t), "oldpc", key, HomelabTag)
	before := mustUp(t, node)
	ports := s.ports()
	stop()
	s, _ = start(t, dir)
	if s.ports() != ports {
		t.Skip("another process took a port meanwhile")
	}
	await(t, "the node comes back by itself", func() bool { return found(t, s, "oldpc").ConnectedToControl })
	if got := status(t, node); got.BackendState != ipn.Running.String() || got.TailscaleIPs[0] != before.TailscaleIPs[0] {
		t.Errorf("the node is %s at %v, was at %v", got.BackendState, got.TailscaleIPs, before.TailscaleIPs)
	}
	if _, err := up(t, box(t, s, disk(t), "second", key)); err == nil {
		t.Error("a key that was used up opens after the restart")
	}
}

// A request that outlives its server must not write into a folder that the next
// server has opened.
func TestAClosedTailnetKeepsItsHandsOffTheFolder(t *testing.T) {
	dir := disk(t)
	s, stop := start(t, dir)
	stop()
	before, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Turn("new-key", nil); !errors.Is(err, errClosed) {
		t.Errorf("a closed tailnet says %v", err)
	}
	after, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("a closed tailnet wrote")
	}
}

func TestControlCanBeAway(t *testing.T) {
	s, _ := start(t, disk(t))
	node := box(t, s, disk(t), "oldpc", turn(t, s, "new-key"), HomelabTag)
	mustUp(t, node)
	turn(t, s, "down")
	await(t, "the API hears that the node has gone", func() bool { return !found(t, s, "oldpc").ConnectedToControl })
	if _, err := http.Get(s.ControlURL() + "/key"); err == nil {
		t.Error("control answers")
	}
	if _, err := client(s).Devices().List(t.Context()); err == nil {
		t.Error("the API answers")
	}
	turn(t, s, "up")
	await(t, "the node comes back", func() bool { return found(t, s, "oldpc").ConnectedToControl })
}

// The node of the workstation reaches a box by its name, through the relay
// alone, and others do through the proxy.
func TestTheWorkstationReachesABox(t *testing.T) {
	s, _ := start(t, disk(t))
	node := box(t, s, disk(t), "oldpc", turn(t, s, "new-key"), HomelabTag)
	mustUp(t, node)
	listener, err := node.Listen("tcp", ":6443")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the API of oldpc")
	})}
	defer server.Close()
	go func() { _ = server.Serve(listener) }()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	workstation, err := s.Join(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer workstation.Close()
	proxy := httptest.NewServer(workstation)
	defer proxy.Close()
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		return connectThrough(ctx, through.Host, address)
	}
	asked := http.Client{Transport: &http.Transport{DialContext: dial}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://oldpc:6443/", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := asked.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if text, err := io.ReadAll(got.Body); string(text) != "the API of oldpc" {
		t.Errorf("through the proxy: %q, %v", text, err)
	}
	if peer := status(t, node).Peer; len(peer) != 1 {
		t.Errorf("%d peers", len(peer))
	}
}

// connectThrough asks a proxy for a connection.
func connectThrough(ctx context.Context, proxy, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "CONNECT "+address+" HTTP/1.1\r\nHost: "+address+"\r\n\r\n"); err != nil {
		return nil, err
	}
	// The proxy says nothing more before it is spoken to.
	said := make([]byte, 0, 512)
	for one := make([]byte, 1); !strings.HasSuffix(string(said), "\r\n\r\n"); said = append(said, one[0]) {
		if _, err := io.ReadFull(conn, one); err != nil {
			return nil, err
		}
	}
	if !strings.HasPrefix(string(said), "HTTP/1.1 200") {
		return nil, errors.New(string(said))
	}
	return conn, nil
}

// client is Tailscale's own, with the lab's secret.
func client(s *Server) *tailscale.Client {
	base, _ := url.Parse(s.APIURL())
	return &tailscale.Client{BaseURL: base, Tailnet: "-", Auth: &tailscale.OAuth{ClientID: s.state.Client.ID, ClientSecret: s.state.Client.Secret}}
}
