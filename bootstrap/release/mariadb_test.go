//go:build lab

package release

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// mariadb is a server of this computer's own package in the place of a pod.
type mariadb struct {
	t      *testing.T
	socket string
}

func startMariaDB(t *testing.T) mariadb {
	t.Helper()
	server, err := exec.LookPath("mariadbd")
	if err != nil {
		t.Skip("no mariadbd on this computer")
	}
	dir, err := os.MkdirTemp("", "m") // a socket's path is at most 107 bytes long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := mariadb{t, filepath.Join(dir, "s")}
	user := "--user=" + os.Getenv("USER")
	if os.Getuid() == 0 {
		user = "--user=root"
	}
	data := filepath.Join(dir, "data")
	if out, err := exec.Command("mariadb-install-db", "--no-defaults", user, "--datadir="+data, "--auth-root-authentication-method=socket", "--skip-test-db").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(server, "--no-defaults", user, "--datadir="+data, "--socket="+m.socket, "--skip-networking", "--log-bin="+filepath.Join(dir, "bin"), "--server-id=7", "--pid-file="+filepath.Join(dir, "pid"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(time.Minute); ; {
		if _, err := m.SQL(t.Context(), "", "DO 1;"); err == nil {
			return m
		}
		if time.Now().After(end) {
			t.Fatal("the server does not start")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// run runs what a pod would run, at this server's socket.
func (m mariadb) run(ctx context.Context, argv []string, stdin string) (string, string, error) {
	argv = append([]string{}, argv...)
	argv[2] = strings.ReplaceAll(argv[2], "/run/mysqld/mysqld.sock", m.socket)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	return out.String(), stderr.String(), err
}

func (m mariadb) SQL(ctx context.Context, _, text string) (string, error) {
	out, _, err := m.run(ctx, asServer(""), text)
	return out, err
}

func (m mariadb) Login(ctx context.Context, _ string, user, password secrets.Value) (bool, error) {
	_, stderr, err := m.run(ctx, []string{"sh", "-c", loginScript, user.Reveal()}, password.Reveal()+"\nDO 1;\n")
	if strings.Contains(stderr, "ERROR 1045") {
		return false, nil
	}
	return err == nil, err
}

func (m mariadb) Accounts(context.Context) (Accounts, error) {
	return Accounts{App: "ssg", Replication: "repl"}, nil
}

func (m mariadb) BrokerLogin(context.Context, secrets.Value, secrets.Value) (bool, error) {
	return false, nil
}

func (m mariadb) PutBrokerUser(context.Context, secrets.Value, secrets.Value) error { return nil }

func (m mariadb) DropBrokerUser(context.Context, string) error { return nil }

func (m mariadb) Publish(context.Context, secrets.Book, secrets.Component) error { return nil }

func (m mariadb) Roll(context.Context, secrets.Book) error { return nil }

// TestRealMariaDBTakesBothPasswordsAndThenOne holds the statements to a server
// that runs them, and its binary log to holding nothing of them.
func TestRealMariaDBTakesBothPasswordsAndThenOne(t *testing.T) {
	m := startMariaDB(t)
	w := newSchool(t)
	_, err := m.SQL(t.Context(), "", "SET sql_log_bin=0; CREATE USER 'ssg'@'%' IDENTIFIED BY '"+w.book.Secrets[secrets.MySQLApp].Reveal()+
		"'; CREATE USER 'repl'@'%' IDENTIFIED BY 'x'; CREATE USER IF NOT EXISTS 'keeper'@'localhost'; DROP USER IF EXISTS ''@'localhost';")
	if err != nil {
		t.Fatal(err)
	}
	// root would lock out the test's own way in, which is by socket.
	r := Rotator{Books: w, Services: m, Note: func(string) {}, Now: time.Now}
	old := w.book.Secrets
	accounts := []account{{secrets.MySQLApp, func(a Accounts) string { return a.App }, []string{"%"}}}
	s := secrets.Rotation{Old: old, New: secrets.Set{secrets.MySQLApp: secrets.NewPassword()}}
	for range 2 { // each of them may be run again
		if err := r.acceptAccounts(accounts)(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := m.Login(t.Context(), "", secrets.NewValue("ssg"), old[secrets.MySQLApp]); err != nil || !ok {
		t.Errorf("the old password between the stages: %v, %v", ok, err)
	}
	for range 2 {
		if err := r.retireAccounts(accounts)(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	out, err := m.SQL(t.Context(), "", "SHOW BINLOG EVENTS;")
	if err != nil || strings.Contains(out, "ALTER USER") {
		t.Errorf("%v; the binary log:\n%s", err, out)
	}
	// A replica's answer is read by its names.
	if _, err := m.SQL(t.Context(), "", "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='repl', MASTER_USE_GTID=slave_pos;"); err != nil {
		t.Fatal(err)
	}
	status, err := m.SQL(t.Context(), "", "SHOW REPLICA STATUS\\G\n")
	if err != nil || field(status, "Slave_IO_Running") != "No" {
		t.Errorf("%v:\n%s", err, status)
	}
}
