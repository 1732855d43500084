package recovery

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// local is a box in a folder of this computer: the scripts run as they do on a
// box, with the real perl, diff, tar and databases. A k3s on its path stands
// in for kubectl and runs what would run in a pod.
type local struct {
	t    testing.TB
	dir  string
	path string
	// in and out count what would cross the link.
	in, out int64
	// cut ends the connection once so many commands were run; 0 never does.
	cut, ran int
}

var errCut = errors.New("the link is cut")

// reach counts what goes over the link, as long as there is one.
func (l *local) reach() error {
	l.ran++
	if l.cut > 0 && l.ran >= l.cut {
		return errCut
	}
	return nil
}

func (l *local) run(ctx context.Context, c host.Command) ([]byte, error) {
	if err := l.reach(); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+l.path+":"+os.Getenv("PATH"))
	cmd.Stdin = bytes.NewReader(c.Stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	l.in, l.out = l.in+int64(stdout.Len()), l.out+int64(len(c.Stdin))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return stdout.Bytes(), &host.CommandError{Command: c.String(), Exit: exit.ExitCode(), Stderr: stderr.String()}
	}
	return stdout.Bytes(), err
}

func (l *local) Query(ctx context.Context, c host.Command) ([]byte, error) { return l.run(ctx, c) }
func (l *local) Run(ctx context.Context, c host.Command) ([]byte, error)   { return l.run(ctx, c) }

func (l *local) QueryMany(ctx context.Context, cs []host.Command) ([]host.Answer, error) {
	out := make([]host.Answer, len(cs))
	for i, c := range cs {
		out[i].Out, out[i].Err = l.run(ctx, c)
	}
	return out, nil
}

func (l *local) Put(_ context.Context, files ...host.File) error {
	if err := l.reach(); err != nil {
		return err
	}
	for _, f := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(f.Path), 0o755), os.WriteFile(f.Path, f.Content, f.Mode), os.Chmod(f.Path, f.Mode)); err != nil {
			return err
		}
	}
	return nil
}

func (l *local) Send(context.Context, host.Blob, host.Progress) (host.Sent, error) {
	return host.Sent{}, errors.New("not used")
}

func (l *local) Job(ctx context.Context, j host.Job, seen func(string)) error {
	if err := l.reach(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, j.Argv[0], j.Argv[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+l.path+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		seen(strings.TrimSpace(line))
	}
	if err != nil {
		return &host.CommandError{Command: j.Name, Exit: cmd.ProcessState.ExitCode(), Stderr: string(out)}
	}
	return nil
}

func (l *local) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not used")
}

// fakeK3s answers what the scripts ask kubectl and runs programs of pods here.
const fakeK3s = `#!/bin/sh
tool=$1; shift
if [ "$1" = -n ]; then shift 2; fi
verb=$1; shift
if [ "$tool" = ctr ]; then
	# One program at a time has the name in the container; left is there after a
	# run that was killed: it is running, then it has ended, then it is gone.
	case "$verb $*" in "tasks "*"--exec-id ssg-bootstrap-restore d91345b2"*) ;; *) exit 9 ;; esac
	left=$(cat "$STATE/left" 2>/dev/null)
	case $1,$left in
	kill,running) echo ended >"$STATE/left"; exit ;;
	delete,running) echo "ctr: task must be stopped before deletion: running: failed precondition" >&2; exit 1 ;;
	delete,ended) rm "$STATE/left"; exit 137 ;;
	kill, | kill,ended | delete,) echo "ctr: process does not exist: not found" >&2; exit 1 ;;
	exec,?*) echo "ctr: id ssg-bootstrap-restore: already exists" >&2; exit 1 ;;
	esac
	shift 4
	verb=exec
	set -- -- "$@"
fi
case $verb in
get)
	[ ! -e "$STATE/deaf" ] || exit 1
	case "$*" in
	*deployments*component=app*) [ ! -e "$STATE/scale" ] || echo "app $(cat "$STATE/scale") $(cat "$STATE/noted" 2>/dev/null)" ;;
	secrets*owner=helm,name=ssg,status=deployed*) echo secret/sh.helm.release.v1.ssg.v2 ;;
	*containerStatuses*name==*containerID*) echo containerd://d91345b2 ;;
	*"-o name"*) ;;
	*persistentvolumeclaims*mysql-primary*metadata.name*) echo data-mysql-primary-0 ;;
	*component=rabbitmq*) echo "rabbitmq-0 Running True" ;;
	*component=mysql-primary*) echo "mysql-primary-0 True True" ;;
	esac ;;
label) echo "label $*" >>"$STATE/log" ;;
annotate) case $3 in *-) rm -f "$STATE/noted" ;; *=*) echo "${3#*=}" >"$STATE/noted" ;; esac ;;
scale) echo "${3#--replicas=}" >"$STATE/scale"; echo "scale ${3#--replicas=}" >>"$STATE/log" ;;
exec)
	[ ! -e "$STATE/away" ] || { rm "$STATE/away"; exit 1; }
	while [ "$1" != -- ]; do shift; done; shift
	[ "$1 $2" = "sh -c" ] || exit 9
	script=$(printf '%s' "$3" | sed "s|/run/mysqld/mysqld.sock|$SOCKET|g")
	if [ "$tool" = ctr ]; then
		# An end that comes at once is forgotten, and the program waits for ever.
		IFS= read -r first || { echo "waits for ever" >&2; exit 8; }
		{ printf '%s\n' "$first"; cat; } | sh -c "$script"
		exit
	fi
	exec sh -c "$script" ;;
esac
`

func newLocal(t testing.TB) *local {
	t.Helper()
	l := &local{t: t, dir: t.TempDir(), path: t.TempDir()}
	writeFile(t, filepath.Join(l.path, "k3s"), fakeK3s, 0o755)
	return l
}

func (l *local) box() Box {
	return Box{Host: l, Folder: filepath.Join(l.dir, "backup"), Root: filepath.Join(l.dir, "root"), Namespace: "studentsystemgo", Release: "ssg"}
}

func writeFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	// With this mode whatever the umask of who runs the test.
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode))
	if err != nil {
		t.Fatal(err)
	}
}

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	keys, err := secrets.WriteKeyring(t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(vault.Options{Dir: filepath.Join(t.TempDir(), "oldpc"), Keys: keys, Holder: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := v.Lock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	return v
}

func taker(l *local, v *vault.Vault, parts ...string) Taker {
	return Taker{
		Box: l.box(), Vault: v, Parts: parts, Host: "oldpc", Now: time.Now,
		Note: func(text string) { l.t.Log(text) },
	}
}
