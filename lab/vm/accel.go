package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The ways to run a box.
const (
	AccelTCG = "tcg" // every instruction emulated: runs anywhere
	AccelKVM = "kvm" // on the hardware, with the old CPU's features
)

// accel is a way to run a box, settled.
type accel string

// tcgSingle is emulation on one thread, for an emulator whose threads are broken.
const tcgSingle accel = "tcg-single"

func (a accel) hardware() bool { return a == AccelKVM }

func (a accel) argument() string {
	switch a {
	case AccelKVM:
		return "kvm"
	case tcgSingle:
		return "tcg,thread=single"
	default:
		return "tcg,thread=multi"
	}
}

// cpu is the Core 2 Duo. On hardware, what came after it is masked by name too:
// the point of the box is that a newer instruction fails on it.
func (a accel) cpu() string {
	if a.hardware() {
		return "core2duo,-sse4.1,-sse4.2,-popcnt,-avx,-avx2,-bmi1,-bmi2"
	}
	return "core2duo"
}

// emulation returns multi-threaded emulation where it is sound.
func emulation(ctx context.Context) (accel, error) {
	major, err := emulatorVersion(ctx)
	if err != nil {
		return "", err
	}
	// Threads of QEMU 7.2 lose flags after CMPXCHG16B, and Debian's kernel
	// panics; 10.0 was seen to be sound.
	if major < soundVersion {
		return tcgSingle, nil
	}
	return AccelTCG, nil
}

// soundVersion is the first emulator whose threads were seen to be sound.
const soundVersion = 10

// emulatorVersion returns the emulator's major version.
func emulatorVersion(ctx context.Context) (int, error) {
	said, err := exec.CommandContext(ctx, emulator, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", emulator, err)
	}
	return parseVersion(string(said))
}

func parseVersion(said string) (int, error) {
	match := regexp.MustCompile(`version (\d+)\.`).FindStringSubmatch(said)
	if match == nil {
		return 0, fmt.Errorf("%s --version said %q", emulator, strings.SplitN(said, "\n", 2)[0])
	}
	return strconv.Atoi(match[1])
}

// settle decides how to run the box.
func (l Lab) settle(ctx context.Context, wish string, image Image) (accel, error) {
	emulated, err := emulation(ctx)
	if err != nil {
		return "", err
	}
	switch wish {
	case AccelKVM:
		return AccelKVM, nil
	case AccelTCG:
	default:
		works, err := l.kvmWorks(ctx, image)
		if err != nil {
			return "", err
		}
		if works {
			return AccelKVM, nil
		}
	}
	if emulated == tcgSingle {
		l.Log.Warn("this QEMU is older than 10: emulating on one thread, half as fast", "try", "install qemu-system-x86 from backports")
	}
	return emulated, nil
}

// verdict is what a probe of KVM found, and on which boot of which machine.
type verdict struct {
	BootID string `json:"bootID"`
	Works  bool   `json:"works"`
	Seen   string `json:"seen"`
}

// kvmWorks boots the image on KVM, once per boot of the workstation. Being able
// to open the device is not enough: inside some virtual machines a guest starts
// there and never gets to its first line.
func (l Lab) kvmWorks(ctx context.Context, image Image) (bool, error) {
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false, nil
	}
	device.Close()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return false, fmt.Errorf("probe KVM: %w", err)
	}
	path := filepath.Join(l.RunDir(), "kvm.json")
	known, err := readVerdict(path)
	if err != nil {
		return false, err
	}
	if known.BootID == strings.TrimSpace(string(boot)) {
		return known.Works, nil
	}
	l.Log.Info("trying a short boot on KVM")
	works, seen, err := l.probeKVM(ctx, image)
	if err != nil {
		return false, err
	}
	l.Log.Info("tried KVM", "works", works, "seen", seen)
	content, err := json.MarshalIndent(verdict{strings.TrimSpace(string(boot)), works, seen}, "", "  ")
	if err != nil {
		return false, fmt.Errorf("keep verdict on KVM: %w", err)
	}
	return works, writeFile(path, append(content, '\n'), 0o644)
}

func readVerdict(path string) (verdict, error) {
	var known verdict
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return known, fmt.Errorf("read verdict on KVM: %w", err)
	}
	if err := json.Unmarshal(content, &known); err != nil {
		return verdict{}, nil //nolint:nilerr // a damaged cache is an empty one: the probe answers again
	}
	return known, nil
}

// probeKVM gives the first sign of life 8 seconds and the login 40: hardware
// needs one and ten.
func (l Lab) probeKVM(ctx context.Context, image Image) (works bool, seen string, err error) {
	dir, err := os.MkdirTemp("", "lab-kvm-")
	if err != nil {
		return false, "", fmt.Errorf("probe KVM: %w", err)
	}
	defer os.RemoveAll(dir)
	m, err := image.throwaway(ctx, dir, AccelKVM)
	if err != nil {
		return false, "", fmt.Errorf("probe KVM: %w", err)
	}
	if err := m.start(ctx); err != nil {
		return false, err.Error(), ctx.Err()
	}
	defer m.kill(context.WithoutCancel(ctx))
	// The firmware's lines do not count: it was seen to run where no kernel does.
	alive := func() bool {
		content, err := os.ReadFile(m.serialLog())
		return err == nil && bytes.Contains(content, []byte("Linux version"))
	}
	if !await(ctx, 8*time.Second, alive) {
		return false, "the kernel did not say a word", ctx.Err()
	}
	login, err := image.login(m)
	if err != nil {
		return false, "", err
	}
	start := time.Now()
	bounded, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	if err := login.await(bounded, l.Log); err != nil {
		return false, err.Error(), ctx.Err()
	}
	return true, fmt.Sprintf("login after %.0f s", time.Since(start).Seconds()), nil
}

// await asks until the answer is yes.
func await(ctx context.Context, patience time.Duration, yes func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
