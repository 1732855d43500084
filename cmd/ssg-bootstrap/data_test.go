package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s/k3stest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// podPrograms stand in for what runs in a cluster with one database, whose rows
// are a file's lines. They are found before everything else by the scripts of
// backups and restores, and by nothing else.
func podPrograms() map[string]string {
	return map[string]string{
		"k3s": `tool=$1; shift
[ "$1" != -n ] || shift 2
verb=$1; shift
case "$tool $verb $*" in
"ctr tasks delete"*) echo "ctr: process does not exist: not found" >&2; exit 1 ;;
"ctr tasks exec"*) [ ! -e "$DATA/broken" ] || exit 1; shift 4; exec "$@" ;;
*" deployments "*component=app*) echo "app $(cat "$DATA/scale") $(cat "$DATA/noted" 2>/dev/null)" ;;
*" persistentvolumeclaims "*) echo data-mysql-primary-0 ;;
*containerID*) echo containerd://d91345b2 ;;
*component=mysql-primary*) echo "mysql-primary-0 True True" ;;
"kubectl annotate"*replicas-*) rm -f "$DATA/noted" ;;
"kubectl annotate"*) echo "${3#*=}" >"$DATA/noted" ;;
"kubectl scale"*) echo "${3#--replicas=}" >"$DATA/scale" ;;
"kubectl exec"*) while [ "$1" != -- ]; do shift; done; shift; exec "$@" ;;
esac`,
		"mariadb": `case "$*" in *--execute=*) echo schooldb ;; *) grep -o '([0-9]*)' >"$DATA/rows" ;; esac`,
		"mariadb-dump": "printf '%s\\n' '-- Current Database: `schooldb`' '-- Table structure for table `students`' '-- Dumping data for table `students`'\n" +
			"sed 's/.*/INSERT INTO `students` VALUES &;/' \"$DATA/rows\"\necho '-- Dump completed'",
		"systemctl": ":",
		"nft":       ":",
	}
}

// data is about the box's databases and volumes:
//
//	data begin           gives it some, and the programs that they need
//	data rows ROW…       makes these the database's rows
//	data hold ROW…       demands that it holds these, and that the application
//	                     that writes them runs
//	data keep [VERSION]  backs all up as if the release were there, of a k3s of
//	                     that version
//	data break, mend     lets the database refuse what is fed to it, or take it
//	data busy            is at work on the backups until the script ends
func data(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg {
		ts.Fatalf("usage: data begin|rows|hold|keep|break|mend|busy")
	}
	dir := ts.MkAbs(".data")
	switch args[0] {
	case "begin":
		beginData(ts, dir)
	case "rows":
		writeData(ts, dir, "rows", strings.Join(args[1:], "\n")+"\n")
	case "hold":
		if got, want := ts.ReadFile(filepath.Join(dir, "rows")), strings.Join(args[1:], "\n")+"\n"; got != want {
			ts.Fatalf("the database holds %q", got)
		}
		if got := ts.ReadFile(filepath.Join(dir, "scale")); got != "2\n" {
			ts.Fatalf("%s pods of the application run", strings.TrimSpace(got))
		}
	case "keep":
		keepData(ts, strings.Join(args[1:], ""))
	case "break":
		writeData(ts, dir, "broken", "")
	case "mend":
		ts.Check(os.Remove(filepath.Join(dir, "broken")))
	case "busy":
		_, unlock := openVault(ts)
		ts.Defer(unlock)
	default:
		ts.Fatalf("data cannot %s", args[0])
	}
}

func writeData(ts *testscript.TestScript, dir, name, text string) {
	ts.Check(errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755)))
}

func beginData(ts *testscript.TestScript, dir string) {
	m := machineOf(ts)
	programs := filepath.Join(dir, "programs")
	for name, text := range podPrograms() {
		writeData(ts, programs, name, "#!/bin/sh\n"+text+"\n")
	}
	writeData(ts, dir, "scale", "2\n")
	m.Command("perl", func(c *hosttest.Call) int { return c.Real() })
	m.Command("sh", func(c *hosttest.Call) int {
		if len(c.Args) > 1 && slices.Contains([]string{"snapshot.sh", "restore.sh"}, path.Base(c.Args[1])) {
			return runOnDisk(c, m, programs)
		}
		return c.Exec(append([]string{"dash"}, c.Args[1:]...))
	})
	// The header of a SQLite database in WAL mode.
	header := make([]byte, 4096)
	copy(header, "SQLite format 3\x00")
	header[18], header[19] = 2, 2
	const k3s = "/var/lib/rancher/k3s/"
	m.WriteFile(k3s+"server/db/state.db", string(header), 0o600)
	m.WriteFile(k3s+"server/token", "K10abc::server:x", 0o600)
	m.WriteFile(k3s+"storage/pvc-1_studentsystemgo_data-mysql-primary-0/ibdata1", "the database's own", 0o600)
	m.WriteFile(k3s+"storage/pvc-2_default_files/a", "a file\n", 0o644)
}

// runOnDisk runs a script of the box by this computer's shell: it does what the
// model of a shell cannot. An empty argument is the root of the box's files.
func runOnDisk(c *hosttest.Call, m *k3stest.Machine, programs string) int {
	args := slices.Clone(c.Args[1:])
	for i, a := range args {
		if a == "" || strings.HasPrefix(a, "/") {
			args[i] = m.Path(a)
		}
	}
	cmd := exec.CommandContext(c.Ctx, "sh", args...)
	cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "DATA="+filepath.Dir(programs))
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		return c.Errorf("%v", err)
	}
	return 0
}

// openVault opens the backups of oldpc, as its owner's program does, and locks
// them.
func openVault(ts *testscript.TestScript) (*vault.Vault, func()) {
	state := filepath.Join(ts.Getenv("HOME"), ".local/state/ssg-bootstrap")
	keys, err := secrets.WriteKeyring(state, nil, nil)
	ts.Check(err)
	v, err := vault.Open(vault.Options{Dir: filepath.Join(state, "backups/oldpc"), Keys: keys, Holder: "somebody@elsewhere (pid 42)"})
	ts.Check(err)
	unlock, err := v.Lock()
	ts.Check(err)
	return v, unlock
}

// keepData takes a backup that has databases. The program itself takes one only
// with the messages of a RabbitMQ, for which there is no model.
func keepData(ts *testscript.TestScript, version string) {
	m := machineOf(ts)
	v, unlock := openVault(ts)
	defer unlock()
	client, err := host.Connect(context.Background(), m.Target(), m.Options())
	ts.Check(err)
	defer client.Close()
	const name = "studentsystemgo"
	_, err = recovery.Taker{
		Box: recovery.Box{Host: client, Namespace: name, Release: name}, Vault: v, Host: "oldpc", Now: time.Now,
		Parts: []string{recovery.K3s, recovery.Volumes, recovery.MySQL},
		About: recovery.About{Node: "oldpc", K3s: version, Namespace: name, Release: name},
		Note:  func(string) {},
	}.Take(context.Background())
	ts.Check(err)
}
