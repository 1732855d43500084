package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

// Files of the link and its companions in a box's folder.
const (
	socketFile   = "control.sock"
	serveLogFile = "serve.log"
	portsFile    = "serve.json"

	githubStateFile  = "github.json"
	githubTokenFile  = "github-token"
	githubReaderFile = "github-token-readonly"
)

// servePorts are where link, mirror and the others were last, to be there again.
type servePorts struct {
	Link     int `json:"link"`
	Mirror   int `json:"mirror"`
	Registry int `json:"registry"`
	GitHub   int `json:"github"`
}

func newServe(l *lab) *cobra.Command {
	return &cobra.Command{
		Use:    "serve",
		Short:  "Run the link, the mirror and the others in the foreground (`lab up` runs this in the background)",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(command *cobra.Command, _ []string) error {
			opened, err := l.open()
			if err != nil {
				return err
			}
			guest, err := opened.Find(l.name)
			if err != nil {
				return err
			}
			build, err := buildID(opened)
			if err != nil {
				return err
			}
			last := lastPorts(guest)
			return control.Serve(command.Context(), control.Config{
				Socket: pathOf(guest, socketFile), Target: guest.SSHAddr(), Mirror: opened.Mirror(), Images: opened.Images(),
				Build: build, LinkPort: last.Link, MirrorPort: last.Mirror, RegistryPort: last.Registry,
				Tailnet: tailnet(opened, guest),
				GitHub: control.GitHub{
					State: pathOf(guest, githubStateFile), Token: pathOf(guest, githubTokenFile), Reader: pathOf(guest, githubReaderFile),
					Socket: pathOf(guest, vm.GitHubSocket), Port: last.GitHub,
				},
			})
		},
	}
}

// tailnet says what runs the box's tailnet, if that has been built.
func tailnet(opened vm.Lab, guest *vm.Guest) control.Tailnet {
	program, err := filepath.EvalSymlinks(opened.Tailnet())
	if err != nil {
		return control.Tailnet{}
	}
	return control.Tailnet{Program: program, Dir: guest.Dir()}
}

// buildID tells this program and the tailnet's from rebuilt ones.
func buildID(opened vm.Lab) (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find own program: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read own program: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("read own program: %w", err)
	}
	// The tailnet's lies in a folder that is named by what it was made from.
	if program, err := filepath.EvalSymlinks(opened.Tailnet()); err == nil {
		io.WriteString(sum, program)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func lastPorts(guest *vm.Guest) servePorts {
	var ports servePorts
	content, err := os.ReadFile(pathOf(guest, portsFile))
	if err == nil {
		err = json.Unmarshal(content, &ports)
	}
	if err != nil {
		return servePorts{} // a wish only: free ports do as well
	}
	return ports
}

// attach puts the link, the mirror and the others beside a box and writes the
// files that lead to it.
func attach(ctx context.Context, opened vm.Lab, guest *vm.Guest) error {
	info, err := ensureServing(ctx, opened, guest)
	if err != nil {
		return err
	}
	last := servePorts{Link: info.LinkPort}
	for address, port := range map[string]*int{info.Mirror: &last.Mirror, info.Registry: &last.Registry, info.GitHub: &last.GitHub} {
		if *port, err = portOf(address); err != nil {
			return fmt.Errorf("read the address %q: %w", address, err)
		}
	}
	ports, err := json.Marshal(last)
	if err != nil {
		return fmt.Errorf("keep ports: %w", err)
	}
	if err := os.WriteFile(pathOf(guest, portsFile), append(ports, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep ports: %w", err)
	}
	if err := guest.LeadsHere(info.LinkPort); err != nil {
		return err
	}
	return writeFiles(opened, guest, info)
}

func portOf(address string) (int, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(parsed.Port())
}

// ensureServing returns the server in the background if it is of this build and
// leads to this box, and starts one otherwise.
func ensureServing(ctx context.Context, opened vm.Lab, guest *vm.Guest) (control.Info, error) {
	build, err := buildID(opened)
	if err != nil {
		return control.Info{}, err
	}
	client := control.Dial(pathOf(guest, socketFile))
	info, err := client.Info(ctx)
	if err == nil && info.Build == build && info.Target == guest.SSHAddr() {
		return info, nil
	}
	if err == nil {
		if err := client.Quit(ctx); err != nil {
			return control.Info{}, err
		}
	}
	return startServing(ctx, guest, client)
}

func startServing(ctx context.Context, guest *vm.Guest, client *control.Client) (control.Info, error) {
	path, err := os.Executable()
	if err != nil {
		return control.Info{}, fmt.Errorf("find own program: %w", err)
	}
	log, err := os.Create(pathOf(guest, serveLogFile))
	if err != nil {
		return control.Info{}, fmt.Errorf("start link: %w", err)
	}
	defer log.Close()
	// Without the context: it is to outlive this program, and a Ctrl-C here.
	command := exec.Command(path, "serve", "--name", guest.State().Name)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return control.Info{}, fmt.Errorf("start link: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// The answer must be the new one's, not that of one still quitting.
		if info, err := client.Info(ctx); err == nil && info.PID == command.Process.Pid {
			return info, nil
		}
		select {
		case <-ctx.Done():
			return control.Info{}, fmt.Errorf("start link: %w", ctx.Err())
		case err := <-ended:
			return control.Info{}, fmt.Errorf("start link: it ended at once (%v): see %s", err, log.Name())
		case <-tick.C:
		}
	}
}

// detach stops the link and the mirror.
func detach(ctx context.Context, guest *vm.Guest) error {
	err := control.Dial(pathOf(guest, socketFile)).Quit(ctx)
	if errors.Is(err, control.ErrNotServing) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func pathOf(guest *vm.Guest, name string) string { return filepath.Join(guest.Dir(), name) }
