package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const emulator = "qemu-system-x86_64"

// machine is one emulated computer: what it is made of, and the folder where
// its process leaves its traces.
type machine struct {
	dir      string
	disk     string
	kernel   string
	initrd   string
	firmware string // file with a string for the firmware tables; may be empty
	accel    accel
	options  Options
	ports    Ports
	verbose  bool // the kernel says everything from its first instruction on
}

func (m machine) serialLog() string { return filepath.Join(m.dir, "serial.log") }
func (m machine) pidFile() string   { return filepath.Join(m.dir, "qemu.pid") }
func (m machine) monitor() string   { return filepath.Join(m.dir, "qmp.sock") }

// args is the emulator's command line. No secret is on it.
func (m machine) args() []string {
	args := []string{
		"-name", m.options.Name,
		"-machine", "pc",
		"-accel", m.accel.argument(),
		"-cpu", m.accel.cpu(),
		"-smp", strconv.Itoa(m.options.CPUs),
		"-m", strconv.Itoa(m.options.MemoryMiB),
		"-nodefaults", "-display", "none",
		"-rtc", m.clock(),
		"-kernel", m.kernel,
		"-initrd", m.initrd,
		"-append", m.commandLine(),
		// What the guest flushed survives the emulator's end in the page cache
		// of the workstation; flushing further would only wear its disk.
		"-drive", "if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file=" + escape(m.disk),
		"-device", "virtio-blk-pci,drive=disk",
		"-netdev", m.network(),
		// The slot gives the interface its name, ens3.
		"-device", "virtio-net-pci,id=nic,netdev=lan,addr=0x3",
		"-device", "virtio-rng-pci",
		"-serial", "file:" + m.serialLog(),
		"-qmp", "unix:" + escape(m.monitor()) + ",server=on,wait=off",
		"-pidfile", m.pidFile(),
		"-daemonize",
	}
	if m.options.Peer != "" {
		args = append(args, "-netdev", m.cable(), "-device", "virtio-net-pci,netdev=cable,addr=0x8,mac="+m.mac())
	}
	if m.firmware != "" {
		args = append(args, "-smbios", "type=11,path="+escape(m.firmware))
	}
	return args
}

// escape keeps a comma in a path from ending an option's value.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

func (m machine) clock() string {
	if m.options.Clock.IsZero() {
		return "base=utc"
	}
	return "base=" + m.options.Clock.UTC().Format("2006-01-02T15:04:05")
}

func (m machine) commandLine() string {
	words := []string{"root=/dev/vda", "rw", "console=ttyS0"}
	if m.verbose {
		words = append(words, "earlyprintk=ttyS0")
	} else {
		words = append(words, "quiet")
	}
	if !m.accel.hardware() {
		// The guards against speculative execution empty the emulated TLB at
		// each system call: 40 % of all time, for a CPU that does not speculate.
		words = append(words, "mitigations=off")
	}
	return strings.Join(append(words, m.options.Append...), " ")
}

// network is a LAN of its own with DHCP and the box's few neighbours, and
// nothing else: restrict keeps the box from the workstation and the Internet.
// The forwards reach the box as somebody on the LAN would.
func (m machine) network() string {
	parts := []string{"user", "id=lan", "ipv6=off", "restrict=on"}
	for _, forward := range []struct{ host, guest int }{
		{m.ports.SSH, 22}, {m.ports.API, 6443}, {m.ports.HTTP, 80}, {m.ports.HTTPS, 443},
	} {
		if forward.host != 0 {
			parts = append(parts, fmt.Sprintf("hostfwd=tcp:%s-:%d", loopback(forward.host), forward.guest))
		}
	}
	for _, n := range neighbours() {
		parts = append(parts, m.carried(n))
	}
	return strings.Join(parts, ",")
}

// cableSocket is one end of a cable between two boxes.
const cableSocket = "cable.sock"

// cable leads to the other box: each end is a socket in its box's folder, and
// sends to the other's. One that is not there, as of a box that is off, is a
// cable that nobody has plugged in.
func (m machine) cable() string {
	other := filepath.Join(filepath.Dir(m.dir), m.options.Peer, cableSocket)
	return "dgram,id=cable,local.type=unix,local.path=" + escape(filepath.Join(m.dir, cableSocket)) +
		",remote.type=unix,remote.path=" + escape(other)
}

// mac tells the boxes on a cable apart; the emulator's own would be the same for
// all of them.
func (m machine) mac() string {
	sum := sha256.Sum256([]byte(m.options.Name))
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", sum[0], sum[1], sum[2])
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// start powers the machine on. The emulator detaches itself once it runs, so
// what it cannot do (a port taken meanwhile, say) is reported here.
func (m machine) start(ctx context.Context) error {
	// The kernel's limit for socket names; beyond it the emulator's own message
	// does not say which path it means. This is the longest of the sockets.
	if longest := filepath.Join(m.dir, TailnetControlSocket); len(longest) > 107 {
		return fmt.Errorf("start %s: the path %s is too long for a socket", m.options.Name, longest)
	}
	for _, old := range []string{m.serialLog(), m.monitor(), m.pidFile()} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("start %s: %w", m.options.Name, err)
		}
	}
	command := exec.CommandContext(ctx, emulator, m.args()...)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("start %s: %w: %s", m.options.Name, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// pid returns the emulator's process, or 0 when it does not run. A number alone
// proves nothing: after a reboot of the workstation it is someone else's.
func (m machine) pid() int {
	content, err := os.ReadFile(m.pidFile())
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(line, []byte("\x00"+m.pidFile()+"\x00")) {
		return 0
	}
	return pid
}

// kill ends the emulator at once and waits until it is gone; the box notices as
// much as of a power cut.
func (m machine) kill(ctx context.Context) error {
	pid := m.pid()
	if pid == 0 {
		return nil
	}
	process, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", m.options.Name, err)
	}
	defer unix.Close(process)
	if err := unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop %s: %w", m.options.Name, err)
	}
	if !gone(ctx, process, 10*time.Second) {
		return fmt.Errorf("stop %s: process %d does not end", m.options.Name, pid)
	}
	return nil
}

// awaitEnd waits for the emulator to end by itself.
func (m machine) awaitEnd(ctx context.Context, patience time.Duration) bool {
	pid := m.pid()
	if pid == 0 {
		return true
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(process)
	return gone(ctx, process, patience)
}

// gone waits for a process to end. The kernel tells; the short rounds are there
// for the context.
func gone(ctx context.Context, process int, patience time.Duration) bool {
	deadline := time.Now().Add(patience)
	for ctx.Err() == nil && time.Now().Before(deadline) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, 250)
		if err == nil && n == 1 {
			return true
		}
	}
	return false
}

// lastWords returns the last line that the box wrote on its serial console.
func (m machine) lastWords() string {
	content, err := os.ReadFile(m.serialLog())
	if err != nil {
		return ""
	}
	lines := strings.FieldsFunc(string(content), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		if line := printable(lines[i]); line != "" {
			return line
		}
	}
	return ""
}

// printable drops what only moves a terminal's cursor or asks it questions.
func printable(line string) string {
	sequence := regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[^\[\]])|[\x00-\x1a\x1c-\x1f]`)
	return strings.TrimSpace(sequence.ReplaceAllString(line, ""))
}
