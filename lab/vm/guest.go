package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Files in a box's folder.
const (
	diskFile       = "disk.qcow2"
	firmwareFile   = "firmware"
	hostKeysFile   = "host_keys.pub"
	knownHostsFile = "known_hosts"
	keyFile        = "id_ed25519"
	passwordFile   = "sudo-password"
)

// accelVariable overrides the choice of acceleration.
const accelVariable = "LAB_ACCEL"

// bootPatience is far more than a boot takes on two busy cores. A box that
// panics keeps its emulator alive, so waiting needs an end.
const bootPatience = 10 * time.Minute

// Guest is a box that is up, or was.
type Guest struct {
	lab   Lab
	dir   string
	state State
}

// ErrNeverUp means that there is no box of that name.
var ErrNeverUp = errors.New("no such box: `lab up` makes it")

// Find returns a box that was up before, running or not.
func (l Lab) Find(name string) (*Guest, error) {
	dir := l.guestDir(name)
	state, err := readState(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNeverUp)
	}
	if err != nil {
		return nil, err
	}
	return &Guest{lab: l, dir: dir, state: state}, nil
}

// Names lists the boxes that have a folder.
func (l Lab) Names() ([]string, error) {
	entries, err := os.ReadDir(l.RunDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list boxes: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if _, err := readState(l.guestDir(entry.Name())); err == nil {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Up brings a box up and returns once it lets its owner in. A box that runs
// stays as it is, and options that it was not started with are refused; one
// that was down starts from its own disk.
func (l Lab) Up(ctx context.Context, options Options) (*Guest, error) {
	asksForNothing := options.same(Options{Name: options.Name})
	options = options.withDefaults()
	if options.Accel == "" {
		options.Accel = os.Getenv(accelVariable)
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	g := &Guest{lab: l, dir: l.guestDir(options.Name)}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("bring %s up: %w", options.Name, err)
	}
	unlock, err := lock(ctx, g.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	g.state, err = readState(g.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if g.Running() && !asksForNothing && !g.state.Options.same(options) {
		return nil, fmt.Errorf("bring %s up: it runs with other options (%s): `lab down --name %s` first", options.Name, filepath.Join(g.dir, stateFile), options.Name)
	}
	if !g.Running() {
		if err := g.powerOn(ctx, options); err != nil {
			return nil, fmt.Errorf("bring %s up: %w", options.Name, err)
		}
	}
	return g, g.Await(ctx)
}

// powerOn starts the box from its disk, or from a fresh one if it has none.
func (g *Guest) powerOn(ctx context.Context, options Options) error {
	g.state.Options, g.state.Name = options, options.Name
	_, err := os.Stat(g.file(diskFile))
	_, lost := os.Stat(Image{g.state.Image}.disk())
	if g.state.Image == "" || err != nil || lost != nil {
		if err := g.freshen(ctx); err != nil {
			return err
		}
	}
	return g.start(ctx)
}

// freshen gives the box a fresh disk and, as a reinstalled one has, new host keys.
func (g *Guest) freshen(ctx context.Context) error {
	image, err := g.lab.EnsureImage(ctx)
	if err != nil {
		return err
	}
	keys, err := newHostKeys(g.state.Name)
	if err != nil {
		return err
	}
	if err := freshDisk(ctx, image, g.file(diskFile)); err != nil {
		return err
	}
	g.state.Image = image.Dir
	return errors.Join(
		writeFile(g.file(firmwareFile), keys.credential(g.state.Name), 0o600),
		writeFile(g.file(hostKeysFile), keys.public(), 0o644),
		copyFile(image.key(), g.file(keyFile)),
		copyFile(image.password(), g.file(passwordFile)),
	)
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy secret: %w", err)
	}
	return writeFile(to, content, 0o600)
}

func (g *Guest) start(ctx context.Context) error {
	how, err := g.lab.settle(ctx, g.state.Options.Accel, Image{g.state.Image})
	if err != nil {
		return err
	}
	ports, err := keepPorts(g.state.Ports)
	if err != nil {
		return err
	}
	g.state.Ports, g.state.Accel, g.state.Started = ports, string(how), time.Now().UTC()
	if err := g.trust(); err != nil {
		return err
	}
	if err := writeState(g.dir, g.state); err != nil {
		return err
	}
	g.lab.Log.Info("powering on", "box", g.state.Name, "accel", how, "console", g.machine().serialLog())
	return g.machine().start(ctx)
}

// Await returns once the box lets its owner in.
func (g *Guest) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	login, err := g.login()
	if err != nil {
		return err
	}
	return login.await(ctx, g.lab.Log)
}

// LeadsHere says that these ports lead to the box as well, from now on and after
// each reset: known_hosts names its keys there too.
func (g *Guest) LeadsHere(ports ...int) error {
	g.state.AlsoAt = ports
	return errors.Join(g.trust(), writeState(g.dir, g.state))
}

// trust writes known_hosts. The keys come from where they were made, not from
// the network.
func (g *Guest) trust() error {
	public, err := os.ReadFile(g.file(hostKeysFile))
	if err != nil {
		return fmt.Errorf("write known hosts: %w", err)
	}
	ports := append([]int{g.state.Ports.SSH}, g.state.AlsoAt...)
	return writeFile(g.file(knownHostsFile), knownHosts(public, ports...), 0o644)
}

// Reset gives the box a fresh disk and new host keys and powers it on. It
// returns at power-on; Await waits for the login.
func (g *Guest) Reset(ctx context.Context) error {
	unlock, err := lock(ctx, g.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := g.machine().kill(ctx); err != nil {
		return fmt.Errorf("reset %s: %w", g.state.Name, err)
	}
	if err := g.freshen(ctx); err != nil {
		return fmt.Errorf("reset %s: %w", g.state.Name, err)
	}
	if err := g.start(ctx); err != nil {
		return fmt.Errorf("reset %s: %w", g.state.Name, err)
	}
	return nil
}

// PowerCut takes the power away and gives it back at once: what the box had not
// flushed to its disk is lost, and it boots.
func (g *Guest) PowerCut(ctx context.Context) error {
	return g.machine().command(ctx, "system_reset", nil)
}

// Shutdown presses the power button and waits for the box to go down in order.
// One that does not is switched off.
func (g *Guest) Shutdown(ctx context.Context) error {
	if !g.Running() {
		return nil
	}
	if err := g.machine().command(ctx, "system_powerdown", nil); err == nil && g.machine().awaitEnd(ctx, 2*time.Minute) {
		return nil
	}
	return errors.Join(ctx.Err(), g.Down(context.WithoutCancel(ctx)))
}

// Down switches the box off hard. Its disk stays.
func (g *Guest) Down(ctx context.Context) error {
	unlock, err := lock(ctx, g.dir)
	if err != nil {
		return err
	}
	defer unlock()
	return g.machine().kill(ctx)
}

// Remove switches the box off and deletes its disk.
func (g *Guest) Remove(ctx context.Context) error {
	if err := g.Down(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(g.dir); err != nil {
		return fmt.Errorf("remove %s: %w", g.state.Name, err)
	}
	return nil
}

// Freeze stops the box's CPUs, as a machine does that hangs; Thaw lets them go on.
func (g *Guest) Freeze(ctx context.Context) error { return g.machine().command(ctx, "stop", nil) }

// Thaw undoes Freeze.
func (g *Guest) Thaw(ctx context.Context) error { return g.machine().command(ctx, "cont", nil) }

// Plug plugs the network cable in or out: the box sees its carrier come and go.
func (g *Guest) Plug(ctx context.Context, in bool) error {
	return g.machine().command(ctx, "set_link", map[string]any{"name": "nic", "up": in})
}

// RemountReadOnly does to the root file system what a disk error does.
func (g *Guest) RemountReadOnly(ctx context.Context) error {
	_, err := g.RunRoot(ctx, "echo 1 > /proc/sys/kernel/sysrq; echo u > /proc/sysrq-trigger\n"+
		"until grep -q ' / ext4 ro' /proc/mounts; do sleep 0.2; done\n")
	return err
}

// Run runs a shell command on the box as its owner, past the bad link.
func (g *Guest) Run(ctx context.Context, in io.Reader, command string) ([]byte, error) {
	login, err := g.login()
	if err != nil {
		return nil, err
	}
	return login.run(ctx, in, command)
}

// RunRoot runs a shell script on the box as root, past the bad link.
func (g *Guest) RunRoot(ctx context.Context, script string) ([]byte, error) {
	login, err := g.login()
	if err != nil {
		return nil, err
	}
	return login.runRoot(ctx, script)
}

// Running tells whether the box has power.
func (g *Guest) Running() bool { return g.state.Name != "" && g.machine().pid() != 0 }

// State is what the box was started with.
func (g *Guest) State() State { return g.state }

// SSHAddr is where the box's sshd answers, past the bad link.
func (g *Guest) SSHAddr() string { return loopback(g.state.Ports.SSH) }

// Dir is the box's folder.
func (g *Guest) Dir() string { return g.dir }

// IdentityFile is the owner's private key.
func (g *Guest) IdentityFile() string { return g.file(keyFile) }

// KnownHostsFile names the box's keys.
func (g *Guest) KnownHostsFile() string { return g.file(knownHostsFile) }

// PasswordFile holds the owner's sudo password.
func (g *Guest) PasswordFile() string { return g.file(passwordFile) }

// Console is the log of the box's serial console.
func (g *Guest) Console() string { return g.machine().serialLog() }

// Pid is the emulator's process, 0 when the box is off.
func (g *Guest) Pid() int { return g.machine().pid() }

func (g *Guest) file(name string) string { return filepath.Join(g.dir, name) }

func (g *Guest) login() (*login, error) {
	return newLogin(g.machine(), g.IdentityFile(), g.KnownHostsFile(), g.PasswordFile())
}

func (g *Guest) machine() machine {
	image := Image{g.state.Image}
	return machine{
		dir:      g.dir,
		disk:     g.file(diskFile),
		kernel:   filepath.Join(image.Dir, "kernel"),
		initrd:   filepath.Join(image.Dir, "initrd"),
		firmware: g.file(firmwareFile),
		accel:    accel(g.state.Accel),
		options:  g.state.Options.withDefaults(),
		ports:    g.state.Ports,
	}
}
