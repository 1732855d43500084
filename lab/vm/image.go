package vm

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/debian"
	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
	"github.com/omkar619-dev/ssg-bootstrap/lab/workstation"
)

// suite is the Debian release on the box.
const suite = "trixie"

// Image is a folder with a fresh disk that boxes share and never change, and
// with what it takes to start and to enter one.
type Image struct{ Dir string }

func (i Image) disk() string     { return filepath.Join(i.Dir, "disk.qcow2") }
func (i Image) key() string      { return filepath.Join(i.Dir, "id_ed25519") }
func (i Image) password() string { return filepath.Join(i.Dir, "sudo-password") }

// EnsureImage returns the image, making it when there is none from today's
// scripts. The first time takes some minutes.
func (l Lab) EnsureImage(ctx context.Context) (Image, error) {
	if err := os.MkdirAll(l.RunDir(), 0o755); err != nil {
		return Image{}, fmt.Errorf("make run folder: %w", err)
	}
	if err := l.prerequisites(ctx); err != nil {
		return Image{}, err
	}
	recipe, err := imageRecipe()
	if err != nil {
		return Image{}, err
	}
	products, err := store.Open(l.storeDir())
	if err != nil {
		return Image{}, err
	}
	dir, err := products.Get(ctx, "box", recipe, l.makeImage)
	if err != nil {
		return Image{}, err
	}
	return Image{dir}, nil
}

func imageRecipe() (*store.Recipe, error) {
	recipe := &store.Recipe{}
	recipe.Add("suite", suite)
	err := fs.WalkDir(scripts, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := scripts.ReadFile(path)
		recipe.Add("script", path, string(content))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("describe image: %w", err)
	}
	return recipe, nil
}

// makeImage fills dir: what the scripts make, then one boot.
func (l Lab) makeImage(ctx context.Context, dir string) error {
	start := time.Now()
	logFile := filepath.Join(l.RunDir(), "image.log")
	l.Log.Info("making the box's disk", "log", logFile)
	if err := makeSecrets(dir); err != nil {
		return err
	}
	if err := runMake(ctx, dir, logFile); err != nil {
		return fmt.Errorf("%w (see %s)", err, logFile)
	}
	l.Log.Info("booting the new disk once", "made in", time.Since(start).Round(time.Second))
	if err := l.seal(ctx, Image{dir}); err != nil {
		return err
	}
	l.Log.Info("the box's disk is ready", "took", time.Since(start).Round(time.Second))
	return nil
}

// makeSecrets makes the owner's login key and sudo password. They belong to
// this image on this workstation and are never written into a repository.
func makeSecrets(dir string) error {
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make login key: %w", err)
	}
	private, public, err := encodeKey(secret, "owner of the lab")
	if err != nil {
		return fmt.Errorf("make login key: %w", err)
	}
	random := make([]byte, 15)
	if _, err := rand.Read(random); err != nil {
		return fmt.Errorf("make sudo password: %w", err)
	}
	password := strings.ToLower(base32.StdEncoding.EncodeToString(random))
	image := Image{dir}
	return errors.Join(
		writeFile(image.key(), private, 0o600),
		writeFile(filepath.Join(dir, "authorized_key"), ssh.MarshalAuthorizedKey(public), 0o644),
		writeFile(image.password(), []byte(password+"\n"), 0o600),
	)
}

// runMake writes the scripts beside what they make and runs them as root.
func runMake(ctx context.Context, dir, logFile string) error {
	for _, name := range []string{"make.sh", "customize.sh"} {
		content, err := scripts.ReadFile("image/" + name)
		if err != nil {
			return fmt.Errorf("make image: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			return fmt.Errorf("make image: %w", err)
		}
		defer os.Remove(filepath.Join(dir, name))
	}
	if err := workstation.Here().MayBeRoot(); err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	args := []string{"sh", "./make.sh", suite, fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), DefaultName}
	sources, err := debian.Find(ctx, "/etc", suite)
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	file, err := os.CreateTemp("", "lab-*.sources")
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(sources)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	args = append(args, file.Name())
	log, err := os.Create(logFile)
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	defer log.Close()
	command := workstation.Here().AsRoot(ctx, args...)
	command.Dir, command.Stdout, command.Stderr = dir, log, log
	if err := command.Run(); err != nil {
		return fmt.Errorf("make image: %w", errors.Join(err, ctx.Err()))
	}
	return nil
}

// seal boots the new disk once, so that no reset pays for what a first boot
// computes, and removes what must not be the same on two disks.
func (l Lab) seal(ctx context.Context, image Image) error {
	how, err := l.settle(ctx, os.Getenv(accelVariable), image)
	if err != nil {
		return fmt.Errorf("seal image: %w", err)
	}
	dir, err := os.MkdirTemp("", "lab-seal-")
	if err != nil {
		return fmt.Errorf("seal image: %w", err)
	}
	defer os.RemoveAll(dir)
	m, err := image.machine(dir, how)
	if err != nil {
		return fmt.Errorf("seal image: %w", err)
	}
	if err := m.start(ctx); err != nil {
		return fmt.Errorf("seal image: %w", err)
	}
	defer m.kill(context.WithoutCancel(ctx))
	if err := l.runSeal(ctx, image, m); err != nil {
		return fmt.Errorf("seal image: %w", err)
	}
	return nil
}

func (l Lab) runSeal(ctx context.Context, image Image, m machine) error {
	ctx, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	login, err := image.login(m)
	if err != nil {
		return err
	}
	if err := login.await(ctx, l.Log); err != nil {
		return err
	}
	script, err := scripts.ReadFile("image/seal.sh")
	if err != nil {
		return err
	}
	if _, err := login.runRoot(ctx, string(script)); err != nil {
		return err
	}
	if err := m.command(ctx, "system_powerdown", nil); err != nil {
		return err
	}
	if !m.awaitEnd(ctx, 2*time.Minute) {
		return fmt.Errorf("the new disk does not shut down; the console's last line: %q", m.lastWords())
	}
	return nil
}

// machine is a computer with the image's own disk in it.
func (i Image) machine(dir string, how accel) (machine, error) {
	keys, err := newHostKeys(DefaultName)
	if err != nil {
		return machine{}, err
	}
	port, err := freePort(0)
	if err != nil {
		return machine{}, err
	}
	m := machine{
		dir:      dir,
		disk:     i.disk(),
		kernel:   filepath.Join(i.Dir, "kernel"),
		initrd:   filepath.Join(i.Dir, "initrd"),
		firmware: filepath.Join(dir, firmwareFile),
		accel:    how,
		options:  Options{}.withDefaults(),
		ports:    Ports{SSH: port},
	}
	return m, errors.Join(
		writeFile(m.firmware, keys.credential(DefaultName), 0o600),
		writeFile(filepath.Join(dir, knownHostsFile), knownHosts(keys.public(), port), 0o644),
	)
}

// throwaway is a computer whose disk is gone with dir.
func (i Image) throwaway(ctx context.Context, dir string, how accel) (machine, error) {
	m, err := i.machine(dir, how)
	if err != nil {
		return machine{}, err
	}
	m.disk, m.verbose = filepath.Join(dir, diskFile), true
	return m, freshDisk(ctx, i, m.disk)
}

func (i Image) login(m machine) (*login, error) {
	return newLogin(m, i.key(), filepath.Join(m.dir, knownHostsFile), i.password())
}

// freshDisk puts an empty layer over the image's disk: the image stays, all
// that a box writes goes into the layer.
func freshDisk(ctx context.Context, image Image, path string) error {
	fresh := path + ".new"
	command := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image.disk(), fresh)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("make fresh disk: %w: %s", err, strings.TrimSpace(string(said)))
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("make fresh disk: %w", err)
	}
	return nil
}
