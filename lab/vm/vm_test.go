package vm

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func testMachine(dir string) machine {
	return machine{
		dir: dir, disk: filepath.Join(dir, diskFile), kernel: "/k", initrd: "/i", firmware: filepath.Join(dir, firmwareFile),
		accel: AccelTCG, options: Options{}.withDefaults(), ports: Ports{SSH: 1022, API: 1643, HTTP: 1080, HTTPS: 1443},
	}
}

// value returns what follows a flag on a command line.
func value(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 {
		return args[i+1]
	}
	return ""
}

func TestMachineIsThe2008PC(t *testing.T) {
	args := testMachine("/run/box").args()
	for flag, want := range map[string]string{
		"-cpu": "core2duo", "-smp": "2", "-m": "4096", "-accel": "tcg,thread=multi", "-rtc": "base=utc",
	} {
		if got := value(args, flag); got != want {
			t.Errorf("%s %s, want %s", flag, got, want)
		}
	}
}

// The guest may reach its three neighbours, and be reached from loopback only.
func TestNetworkIsClosed(t *testing.T) {
	args := testMachine("/run/box").args()
	network := strings.Split(strings.ReplaceAll(value(args, "-netdev"), ",,", ";"), ",")
	if !slices.Contains(network, "restrict=on") {
		t.Errorf("the network is open: %v", network)
	}
	forwards, carried := 0, []string{}
	for _, part := range network {
		if neighbour, ok := strings.CutPrefix(part, "guestfwd="); ok {
			address, command, _ := strings.Cut(neighbour, "-cmd:")
			carried = append(carried, address)
			if !strings.HasPrefix(command, "'socat' ") || !strings.Contains(command, " 'UNIX-CONNECT:/run/box/") {
				t.Errorf("%s leads elsewhere than to a socket in the box's folder: %s", address, command)
			}
		}
		if forward, ok := strings.CutPrefix(part, "hostfwd="); ok {
			forwards++
			if !strings.HasPrefix(forward, "tcp:127.0.0.1:") {
				t.Errorf("%s listens beyond loopback", forward)
			}
		}
	}
	if forwards != 4 {
		t.Errorf("%d forwards, want SSH, API, HTTP and HTTPS", forwards)
	}
	if want := []string{"tcp:" + GitHubAddr, "tcp:" + TailnetControlAddr, "tcp:" + TailnetDERPAddr}; !slices.Equal(carried, want) {
		t.Errorf("the neighbours are %v, want %v", carried, want)
	}
	if got := strings.Count(strings.Join(args, " "), "-netdev"); got != 1 {
		t.Errorf("%d networks", got)
	}
}

func TestOptionsReachTheMachine(t *testing.T) {
	m := testMachine("/run/box")
	m.options.MemoryMiB, m.options.CPUs = 900, 1
	m.options.Clock = time.Date(2025, 1, 31, 12, 0, 0, 0, time.FixedZone("", 3600))
	m.options.Append = []string{"systemd.unified_cgroup_hierarchy=0"}
	m.accel = AccelKVM
	args := m.args()
	if got := value(args, "-rtc"); got != "base=2025-01-31T11:00:00" {
		t.Errorf("clock %s", got)
	}
	if value(args, "-m") != "900" || value(args, "-smp") != "1" {
		t.Errorf("memory %s, CPUs %s", value(args, "-m"), value(args, "-smp"))
	}
	if got := value(args, "-append"); !strings.HasSuffix(got, " systemd.unified_cgroup_hierarchy=0") || strings.Contains(got, "mitigations") {
		t.Errorf("kernel command line on hardware: %s", got)
	}
	for _, feature := range []string{"-sse4.1", "-sse4.2", "-popcnt", "-avx"} {
		if !strings.Contains(value(args, "-cpu"), feature) {
			t.Errorf("on hardware the guest may see what %s masks: %s", feature, value(args, "-cpu"))
		}
	}
}

func TestCommaInAPathStaysInThePath(t *testing.T) {
	args := testMachine("/run/a,b").args()
	if got := value(args, "-drive"); !strings.Contains(got, "file=/run/a,,b/") {
		t.Errorf("disk: %s", got)
	}
}

func TestStartRefusesAPathThatNoSocketCanHave(t *testing.T) {
	m := testMachine("/" + strings.Repeat("x", 120))
	if err := m.start(t.Context()); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("start: %v", err)
	}
}

// A pid file outlives its process, and numbers are used again.
func TestPidIsOursOnly(t *testing.T) {
	m := testMachine(t.TempDir())
	if got := m.pid(); got != 0 {
		t.Errorf("without a pid file: %d", got)
	}
	write := func(pid int) {
		if err := os.WriteFile(m.pidFile(), []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(os.Getpid())
	if got := m.pid(); got != 0 {
		t.Errorf("took the test itself (%d) for the emulator", got)
	}
	if err := m.kill(t.Context()); err != nil {
		t.Errorf("kill with a stranger's pid: %v", err)
	}
	// A stand-in with the pid file on its command line, as the emulator has it.
	stand := exec.CommandContext(t.Context(), "sh", "-c", "read -r forever", "-pidfile", m.pidFile(), "end")
	in, err := stand.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := stand.Start(); err != nil {
		t.Fatal(err)
	}
	write(stand.Process.Pid)
	if got := m.pid(); got != stand.Process.Pid {
		t.Errorf("pid %d, want %d", got, stand.Process.Pid)
	}
	killed := make(chan error, 1)
	go func() { killed <- m.kill(t.Context()) }()
	var exit *exec.ExitError
	if err := stand.Wait(); !errors.As(err, &exit) || exit.Success() {
		t.Errorf("the process ended with %v", err)
	}
	if err := <-killed; err != nil {
		t.Errorf("kill: %v", err)
	}
}

func TestMonitorSpeaksQMP(t *testing.T) {
	socket := filepath.Join(shortDir(t), "qmp")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	orders := make(chan map[string]any, 8)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answer(conn, orders)
		}
	}()
	if err := command(t.Context(), socket, "set_link", map[string]any{"name": "nic", "up": false}); err != nil {
		t.Fatal(err)
	}
	if first := <-orders; first["execute"] != "qmp_capabilities" {
		t.Errorf("first order: %v", first)
	}
	second := <-orders
	if arguments, _ := second["arguments"].(map[string]any); second["execute"] != "set_link" || arguments["name"] != "nic" || arguments["up"] != false {
		t.Errorf("second order: %v", second)
	}
	if err := command(t.Context(), socket, "explode", nil); err == nil || !strings.Contains(err.Error(), "no such order") {
		t.Errorf("a refused order: %v", err)
	}
}

// answer is the emulator's side: a greeting, events in between, one refusal.
func answer(conn net.Conn, orders chan<- map[string]any) {
	defer conn.Close()
	say := func(text string) { _, _ = conn.Write([]byte(text + "\n")) }
	say(`{"QMP": {"version": {}, "capabilities": []}}`)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		var order map[string]any
		if json.Unmarshal(lines.Bytes(), &order) != nil {
			return
		}
		orders <- order
		say(`{"event": "RTC_CHANGE", "data": {"offset": 1}}`)
		if order["execute"] == "explode" {
			say(`{"error": {"class": "CommandNotFound", "desc": "no such order"}}`)
		} else {
			say(`{"return": {}}`)
		}
	}
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// What the firmware hands over must be exactly the keys that known_hosts names.
func TestHostKeysArriveAsTheyAreTrusted(t *testing.T) {
	keys, err := newHostKeys("oldpc")
	if err != nil {
		t.Fatal(err)
	}
	encoded, ok := strings.CutPrefix(string(keys.credential("oldpc")), "io.systemd.credential.binary:tmpfiles.extra=")
	if !ok {
		t.Fatal("the credential has another name")
	}
	lines, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), knownHostsFile)
	if err := os.WriteFile(file, knownHosts(keys.public(), 2022, 2023), 0o600); err != nil {
		t.Fatal(err)
	}
	check, err := knownhosts.New(file)
	if err != nil {
		t.Fatal(err)
	}
	private := 0
	for line := range strings.Lines(string(lines)) {
		fields := strings.Fields(line)
		if len(fields) != 7 || fields[0] != "f~" || fields[3] != "root" {
			t.Fatalf("tmpfiles line %q", line)
		}
		content, err := base64.StdEncoding.DecodeString(fields[6])
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(fields[1], ".pub") {
			continue
		}
		private++
		if fields[2] != "0600" {
			t.Errorf("%s has mode %s", fields[1], fields[2])
		}
		signer, err := ssh.ParsePrivateKey(content)
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{"127.0.0.1:2022", "127.0.0.1:2023"} {
			if err := check(address, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, signer.PublicKey()); err != nil {
				t.Errorf("%s at %s: %v", fields[1], address, err)
			}
		}
	}
	if private != 3 {
		t.Errorf("%d private keys, want ed25519, ecdsa and rsa", private)
	}
}

func TestNewImageSecretsAreNew(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		if err := makeSecrets(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{keyFile, passwordFile} {
		a, errA := os.ReadFile(filepath.Join(one, name))
		b, errB := os.ReadFile(filepath.Join(two, name))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if len(a) < 20 || string(a) == string(b) {
			t.Errorf("%s is the same in two images, or short", name)
		}
		info, err := os.Stat(filepath.Join(one, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestStateIsKept(t *testing.T) {
	l := Lab{Root: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	if _, err := l.Find("oldpc"); !errors.Is(err, ErrNeverUp) {
		t.Errorf("a box that never was: %v", err)
	}
	dir := l.guestDir("oldpc")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	want := State{
		Name: "oldpc", Image: "/image", Accel: AccelTCG, Ports: Ports{SSH: 1, API: 2, HTTP: 3, HTTPS: 4}, AlsoAt: []int{5},
		Options: Options{Name: "oldpc", Clock: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), Append: []string{"x"}}.withDefaults(),
		Started: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if err := writeState(dir, want); err != nil {
		t.Fatal(err)
	}
	guest, err := l.Find("oldpc")
	if err != nil {
		t.Fatal(err)
	}
	got := guest.State()
	if !got.Options.same(want.Options) || got.Ports != want.Ports || !got.Started.Equal(want.Started) || !slices.Equal(got.AlsoAt, want.AlsoAt) {
		t.Errorf("read back %+v, wrote %+v", got, want)
	}
	if guest.Running() {
		t.Error("a box without a process runs")
	}
	if err := os.WriteFile(filepath.Join(dir, stateFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Find("oldpc"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a damaged state: %v", err)
	}
}

func TestKeepPorts(t *testing.T) {
	first, err := keepPorts(Ports{})
	if err != nil {
		t.Fatal(err)
	}
	all := []int{first.SSH, first.API, first.HTTP, first.HTTPS}
	slices.Sort(all)
	if len(slices.Compact(all)) != 4 || all[0] == 0 {
		t.Errorf("ports %+v are not four", first)
	}
	taken, err := net.Listen("tcp4", loopback(first.API))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	second, err := keepPorts(first)
	if err != nil {
		t.Fatal(err)
	}
	if second.SSH != first.SSH || second.API == first.API {
		t.Errorf("from %+v with %d taken to %+v", first, first.API, second)
	}
}

func TestLockIsExclusiveAndEndsWithItsHolder(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := lock(t.Context(), dir)
		if err == nil {
			second()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("locked twice: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	unlock()
	if err := <-got; err != nil {
		t.Errorf("after unlock: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, bad := range []Options{{Name: "Old PC"}, {Name: "../x"}, {Name: "-x"}, {Accel: "warp"}, {MemoryMiB: 8}, {CPUs: -1}} {
		if err := bad.withDefaults().validate(); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	if err := (Options{Name: "box-2", Accel: AccelKVM}).withDefaults().validate(); err != nil {
		t.Error(err)
	}
}

func TestParseVersion(t *testing.T) {
	for said, want := range map[string]int{
		"QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)\nCopyright": 7,
		"QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds)":             10,
	} {
		if got, err := parseVersion(said); got != want || err != nil {
			t.Errorf("parseVersion(%q) = %d, %v", said, got, err)
		}
	}
	if _, err := parseVersion("command not found"); err == nil {
		t.Error("nonsense has a version")
	}
}

func TestWithBackports(t *testing.T) {
	sources := "Types: deb\nURIs: http://archive.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n" +
		"\nTypes: deb\nURIs: http://archive.example/security\nSuites: bookworm-security\nComponents: main\n"
	got := withBackports(sources, "bookworm")
	if !strings.Contains(got, "Suites: bookworm bookworm-updates bookworm-backports\n") {
		t.Errorf("no backports in\n%s", got)
	}
	if !strings.Contains(got, "Suites: bookworm-security\n") {
		t.Errorf("backports asked of the security archive:\n%s", got)
	}
	if !strings.Contains(got, "Signed-By: /k.gpg\n") {
		t.Errorf("the key is lost:\n%s", got)
	}
}

func TestPrintable(t *testing.T) {
	for line, want := range map[string]string{
		"\x1b[!p\x1b]104\x07\x1b[?7h\x1b[6n[ OK ] Started ssh": "[ OK ] Started ssh",
		"\x1b[0;32moldpc login:\x1b[0m ":                       "oldpc login:",
		"\x1b[32766;32766H\x1b[6n":                             "",
	} {
		if got := printable(line); got != want {
			t.Errorf("printable(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestCheckCPU(t *testing.T) {
	if err := checkCPU("flags : fpu sse sse2 ssse3 cx16 lahf_lm"); err != nil {
		t.Error(err)
	}
	for _, flag := range []string{"sse4_1", "sse4_2", "popcnt", "avx"} {
		if err := checkCPU("flags : fpu " + flag + " cx16"); !errors.Is(err, errTooNew) {
			t.Errorf("with %s: %v", flag, err)
		}
	}
}

func TestVerdictOnKVMIsForOneBoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kvm.json")
	if known, err := readVerdict(path); err != nil || known.BootID != "" {
		t.Errorf("nothing kept: %+v, %v", known, err)
	}
	if err := os.WriteFile(path, []byte("{broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	if known, err := readVerdict(path); err != nil || known.BootID != "" {
		t.Errorf("a damaged one: %+v, %v", known, err)
	}
}

func TestRecipeHoldsAllScripts(t *testing.T) {
	recipe, err := imageRecipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"make.sh", "customize.sh", "seal.sh"} {
		if !strings.Contains(recipe.String(), "image/"+name) {
			t.Errorf("%s can change without a new image", name)
		}
	}
}

// TestACableHasTwoEnds has each box send to where the other listens, as two cards
// that are not taken for one.
func TestACableHasTwoEnds(t *testing.T) {
	end := func(name, peer string) (netdev, card string) {
		m := testMachine("/run/" + name)
		m.options.Name, m.options.Peer = name, peer
		args := m.args()
		i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "dgram,") })
		if i < 0 {
			t.Fatalf("%s has no cable: %v", name, args)
		}
		return args[i], args[i+2]
	}
	a, cardA := end("oldpc", "newpc")
	b, cardB := end("newpc", "oldpc")
	swap := strings.NewReplacer("local.path", "remote.path", "remote.path", "local.path")
	parts := strings.Split(swap.Replace(a), ",")
	slices.Sort(parts)
	want := strings.Split(b, ",")
	slices.Sort(want)
	if !slices.Equal(parts, want) {
		t.Errorf("the ends do not meet:\n%s\n%s", a, b)
	}
	if cardA == cardB || !strings.Contains(cardA, "addr=0x8") {
		t.Errorf("the cards: %s, %s", cardA, cardB)
	}
	if err := (Options{Name: "oldpc", Peer: "oldpc"}).withDefaults().validate(); err == nil {
		t.Error("a cable from a box to itself is accepted")
	}
}
