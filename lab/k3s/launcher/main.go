// Command launcher is the visible part of the file named k3s. It keeps the
// promise that the one file is all a box needs: it unpacks the programs it
// carries, once, and becomes the one that was asked for.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/payload"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/settings"
	"golang.org/x/sys/unix"
)

// Set by the linker; a second release of the lab differs in nothing else.
var (
	release  = "v0.0.0+unstamped"
	revision = "unstamped"
	upstream = "unstamped"
)

func main() {
	err := run(os.Args)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "Error:", err)
	os.Exit(1)
}

// run ends in another program unless it only had to print.
func run(argv []string) error {
	command, args := split(argv)
	switch command {
	case "", "help", "--help", "-h":
		return usage(os.Stdout)
	case "--version", "-v", "version":
		return version(os.Stdout)
	case "server":
		if wantsHelp(args) {
			settings.Usage(os.Stdout)
			return nil
		}
		return become("k3s-server", append([]string{argv[0], "server"}, args...), args)
	case "agent":
		return become("k3s-server", append([]string{argv[0], "agent"}, args...), args)
	case "token":
		return become("k3s-server", append([]string{argv[0], "token"}, args...), nil)
	case "kubectl":
		return become("k3s-server", append([]string{"kubectl"}, args...), nil)
	case "ctr", "crictl":
		return become(command, append([]string{command}, args...), nil, runtimeDefaults(command)...)
	case "etcd-snapshot", "secrets-encrypt", "certificate", "check-config", "completion":
		return fmt.Errorf("the lab's k3s stand-in is one server on SQLite: it does not have `k3s %s`", command)
	}
	return fmt.Errorf("no such command: k3s %s", command)
}

// split finds the command in the program's own name (a link called kubectl) or
// in the first argument.
func split(argv []string) (string, []string) {
	name := filepath.Base(argv[0])
	if slices.Contains([]string{"kubectl", "ctr", "crictl"}, name) {
		return name, argv[1:]
	}
	if len(argv) < 2 {
		return "", nil
	}
	return argv[1], argv[2:]
}

func wantsHelp(args []string) bool {
	return slices.Contains(args, "--help") || slices.Contains(args, "-h")
}

func usage(w io.Writer) error {
	_, err := fmt.Fprint(w, `NAME:
   k3s - Kubernetes, but small and simple (the lab's stand-in)

USAGE:
   k3s [global options] command [command options] [arguments...]

COMMANDS:
   server    Run management server
   agent     Run node agent
   kubectl   Run kubectl
   crictl    Run crictl
   ctr       Run ctr
   token     Manage tokens

GLOBAL OPTIONS:
   --help, -h     show help
   --version, -v  print the version
`)
	return err
}

func version(w io.Writer) error {
	_, err := fmt.Fprintf(w, "k3s version %s (%s)\ngo version %s\n%s\n", release, revision, runtime.Version(),
		"This is the stand-in of ssg-bootstrap's lab, not a release of k3s: upstream Kubernetes "+upstream+" with kine on SQLite.")
	return err
}

// become unpacks what is missing and replaces this process.
func become(program string, argv, serverArgs []string, defaults ...string) error {
	bin, err := stage(serverArgs)
	if err != nil {
		return err
	}
	env := environment(append(defaults, os.Environ()...), bin, settings.PreferBundled(serverArgs, os.Getenv))
	path := filepath.Join(bin, program)
	if err := unix.Exec(path, argv, env); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	return errors.New("unreachable: exec returned")
}

// runtimeDefaults point containerd's and CRI's clients at this containerd. What
// the user has set in the environment comes later and wins.
func runtimeDefaults(command string) []string {
	if command == "ctr" {
		return []string{"CONTAINERD_ADDRESS=" + layout.ContainerdSocket, "CONTAINERD_NAMESPACE=k8s.io"}
	}
	dataDir, err := settings.DataDir(nil, os.Getenv)
	if err != nil {
		return nil // staging fails for the same reason, and says so
	}
	return []string{"CRI_CONFIG_FILE=" + layout.Paths{Root: dataDir}.Agent("etc", "crictl.yaml")}
}

func stage(serverArgs []string) (string, error) {
	dataDir, err := settings.DataDir(serverArgs, os.Getenv)
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	archive, err := payload.Open(self)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	// What root has unpacked serves everybody: no user needs a copy at home.
	if dir, there := payload.Staged(settings.DefaultDataDir(0), archive); there && os.Getuid() != 0 {
		return filepath.Join(dir, "bin"), nil
	}
	dir, err := payload.Stage(dataDir, archive)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "bin"), nil
}

// environment puts the release's programs before the host's, and its own
// iptables after them unless asked otherwise: rules written by two versions of
// iptables do not mix.
func environment(env []string, bin string, preferBundled bool) []string {
	aux := filepath.Join(bin, "aux")
	path := []string{bin, os.Getenv("PATH"), aux}
	if preferBundled {
		path = []string{bin, aux, os.Getenv("PATH")}
	}
	kept := slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, "PATH=") })
	return append(kept,
		"PATH="+strings.Join(path, ":"),
		"K3S_DATA_DIR="+filepath.Dir(bin),
		"SSG_LAB_K3S_RELEASE="+release,
	)
}
