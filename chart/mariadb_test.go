package chart

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/porttest"
)

// The passwords hold every character that a careless script trips over.
const (
	rootPassword  = `ro'ot "\$(x)\\`
	appPassword   = `ap'p; -- "\n`
	replicationPW = `re'pl\ %s`
)

// unprivileged is the user that the servers run as: never root, as in the pods.
func unprivileged(t *testing.T) (*user.User, *syscall.Credential) {
	t.Helper()
	if os.Getuid() != 0 {
		u, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		return u, nil
	}
	u, err := user.Lookup("mysql")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return u, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}
}

// database is one of the two pods: its volume, its configuration as the chart
// renders it, and the scripts as the chart ships them.
type database struct {
	t        *testing.T
	role     string
	dir      string // volumes and mounts, outside of t.TempDir: sockets have short names
	port     int
	primary  int // the primary's port
	user     *user.User
	as       *syscall.Credential
	password map[string]string

	cmd    *exec.Cmd
	exited chan struct{}
	log    *log
}

// log collects what a process says.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// needMariaDB ends a test where it cannot run, and lets it run beside others:
// most of its time is waiting.
func needMariaDB(t *testing.T) {
	t.Helper()
	for _, name := range []string{"mariadbd", "/usr/sbin/mariadbd"} {
		if _, err := exec.LookPath(name); err == nil {
			return
		}
	}
	if os.Getenv("CI_REQUIRES_MARIADB") != "" {
		t.Fatal("CI_REQUIRES_MARIADB is set and there is no mariadbd")
	}
	t.Skip("no mariadbd: install mariadb-server to run this test")
}

func newDatabase(t *testing.T, role string, certificates map[string][]byte) *database {
	t.Helper()
	needMariaDB(t)
	dir, err := os.MkdirTemp("", "ssg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &database{t: t, role: role, dir: dir, port: porttest.Keep(t), password: map[string]string{
		"root-password": rootPassword, "password": appPassword, "replication-password": replicationPW,
	}}
	d.user, d.as = unprivileged(t)
	for name, data := range certificates {
		d.password[name] = string(data)
	}
	for _, sub := range []string{"data", "run", "secret", "config", "tmp"} {
		d.mkdir(filepath.Join(dir, sub))
	}
	d.own(dir)
	d.writeSecret()
	d.writeConfig()
	return d
}

func (d *database) mkdir(dir string) {
	d.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.t.Fatal(err)
	}
	d.own(dir)
}

func (d *database) own(path string) {
	d.t.Helper()
	if d.as == nil {
		return
	}
	if err := os.Chown(path, int(d.as.Uid), int(d.as.Gid)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *database) write(path, text string) {
	d.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		d.t.Fatal(err)
	}
	d.own(path)
}

func (d *database) writeSecret() {
	for key, value := range d.password {
		d.write(filepath.Join(d.dir, "secret", key), value)
	}
}

// writeConfig takes the ConfigMap as it is rendered; only what a pod would give
// by its mounts and its network is put in by hand.
func (d *database) writeConfig() {
	objects, _ := mustRender(d.t, existing())
	data, _, err := nestedStrings(find(d.t, objects, "ConfigMap", "ssg-studentsystemgo-mysql-"+d.role).Object, "data")
	if err != nil {
		d.t.Fatal(err)
	}
	for name, text := range data {
		text = strings.ReplaceAll(text, "/run/secrets/mysql", filepath.Join(d.dir, "secret"))
		if name == "server.cnf" {
			text += fmt.Sprintf("\nport = %d\nbind_address = 127.0.0.1\ntmpdir = %s\n", d.port, filepath.Join(d.dir, "tmp"))
		}
		d.write(filepath.Join(d.dir, "config", name), text)
	}
}

func (d *database) data(name string) string { return filepath.Join(d.dir, "data", name) }
func (d *database) socket() string          { return filepath.Join(d.dir, "run", "mysqld.sock") }

func (d *database) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin",
		"DATA="+filepath.Join(d.dir, "data"), "RUN="+filepath.Join(d.dir, "run"), "SECRETS="+filepath.Join(d.dir, "secret"),
		"CONFIG="+filepath.Join(d.dir, "config", "server.cnf"), "HOME="+d.dir,
		"DB_NAME=schooldb", "DB_USER=ssg", "REPLICATION_USER=repl", "ROOT_HOST=localhost",
		"PRIMARY_HOST=127.0.0.1", "PRIMARY_PORT="+strconv.Itoa(d.primary), "LOOK_EVERY=1",
	)
	// A server that starts removes the temporary tables of all that share its
	// folder for them; in a pod nobody does.
	cmd.Env = append(cmd.Env, "TMPDIR="+filepath.Join(d.dir, "tmp"))
	// A group of its own, so that a power cut reaches all of it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: d.as}
	return cmd
}

// start runs what the container runs.
func (d *database) start() {
	d.t.Helper()
	d.log = &log{}
	d.cmd = d.command("sh", filepath.Join(d.dir, "config", d.role+".sh"))
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	exited := make(chan struct{})
	cmd := d.cmd
	d.exited = exited
	go func() { cmd.Wait(); close(exited) }()
	d.t.Cleanup(func() { d.cut() })
}

// cut is a power cut: nothing gets to finish.
func (d *database) cut() {
	if d.cmd == nil {
		return
	}
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.exited
	d.cmd = nil
}

// stop is what the kubelet does.
func (d *database) stop() {
	d.t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(30 * time.Second):
		d.t.Fatalf("%s does not stop:\n%s", d.role, d.log)
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Errorf("%s ended with %d:\n%s", d.role, code, d.log)
	}
	d.cut()
}

// until waits for a condition.
func (d *database) until(what string, ok func() bool) {
	d.t.Helper()
	deadline := time.Now().Add(45 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s never %s; it said\n%s", d.role, what, d.log)
		}
		select {
		case <-d.exited:
			if !ok() {
				d.t.Fatalf("%s ended before it %s; it said\n%s", d.role, what, d.log)
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// answers waits until a connection over TCP and TLS is answered.
func (d *database) answers() *database {
	d.t.Helper()
	d.until("answered", func() bool { return d.lets("ssg", appPassword) })
	return d
}

// lets tells whether somebody gets in over TCP and TLS. The client is started
// only where there is a port to talk to: started again and again during a first
// boot, it takes more of the processor than the boot.
func (d *database) lets(name, password string) bool {
	port, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port)))
	if err != nil {
		return false
	}
	port.Close()
	_, err = d.query(name, password, "DO 1")
	return err == nil
}

func (d *database) inStep() *database {
	d.t.Helper()
	d.until("in step", func() bool { _, err := os.Stat(filepath.Join(d.dir, "run", "in-step")); return err == nil })
	return d
}

// query runs a statement as somebody, over TCP and verified TLS.
func (d *database) query(name, password, sql string) (string, error) {
	cmd := d.command("mariadb", "--no-defaults", "--host=127.0.0.1", "--port="+strconv.Itoa(d.port), "--user="+name,
		"--ssl", "--ssl-ca="+filepath.Join(d.dir, "secret", "ca.crt"), "--ssl-verify-server-cert",
		"--batch", "--skip-column-names", "--execute="+sql)
	cmd.Env = append(cmd.Env, "MYSQL_PWD="+password)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// login reports whether somebody gets in, over the network or the socket.
func (d *database) login(name, password string) bool {
	_, overTCP := d.query(name, password, "DO 1")
	cmd := d.command("mariadb", "--no-defaults", "--socket="+d.socket(), "--user="+name, "--execute=DO 1")
	cmd.Env = append(cmd.Env, "MYSQL_PWD="+password)
	return cmd.Run() == nil || overTCP == nil
}

// local runs statements as the container's own user.
func (d *database) local(sql string) string {
	d.t.Helper()
	out, err := d.tryLocal(sql)
	if err != nil {
		d.t.Fatalf("%s: %v: %s\n%s", sql, err, out, d.log)
	}
	return out
}

func (d *database) tryLocal(sql string) (string, error) {
	cmd := d.command("mariadb", "--no-defaults", "--socket="+d.socket(), "--user="+d.user.Username, "--batch", "--skip-column-names")
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (d *database) status() string {
	d.t.Helper()
	out, err := d.command("mariadb", "--no-defaults", "--socket="+d.socket(), "--user="+d.user.Username, "--vertical", "--execute=SHOW REPLICA STATUS").CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func (d *database) has(name string) bool { _, err := os.Lstat(d.data(name)); return err == nil }

func (d *database) quarantined() []string {
	found, _ := filepath.Glob(d.data(".quarantine/*"))
	return found
}

func certificates(t *testing.T) map[string][]byte {
	t.Helper()
	caKey, key := newKey(t), newKey(t)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mysql-primary"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, DNSNames: []string{"mysql-primary", "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"ca.crt":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMariaDBFirstBootGivesNobodyAnEmptyPassword(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, "primary", certificates(t))
	d.start()
	d.answers()
	for _, who := range []struct{ name, password string }{{"root", rootPassword}, {"ssg", appPassword}, {"repl", replicationPW}} {
		if !d.login(who.name, who.password) {
			t.Errorf("%s does not get in", who.name)
		}
		if d.login(who.name, "") {
			t.Errorf("%s gets in without a password", who.name)
		}
	}
	open := d.local(`SELECT user, host FROM mysql.global_priv WHERE user <> 'mariadb.sys'
		AND user <> '` + d.user.Username + `' AND IFNULL(JSON_VALUE(priv, '$.authentication_string'), '') IN ('', 'invalid')`)
	if strings.Contains(open, "ssg") || strings.Contains(open, "repl") || strings.Contains(open, "root\t") || strings.HasPrefix(open, "\t") {
		t.Errorf("accounts without a password: %q", open)
	}
	if out, err := d.query("ssg", appPassword, "CREATE TABLE schooldb.t (i INT); CREATE DATABASE other"); err == nil || !d.tableExists("t") {
		t.Errorf("the application may do something else than all in its own database: %v %s", err, out)
	}
	if _, err := d.query("root", rootPassword, "DO 1"); err == nil {
		t.Error("root gets in over the network")
	}
	if said := d.log.String(); strings.Contains(said, rootPassword) || strings.Contains(said, appPassword) {
		t.Error("a password is in the log")
	}
	d.stop()
}

func (d *database) tableExists(name string) bool {
	return d.local("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='schooldb' AND table_name='"+name+"'") == "1"
}

func TestMariaDBFollowsTheSecretAtEachStart(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, "primary", certificates(t))
	d.start()
	d.answers().stop()
	d.password["password"] = "another"
	d.writeSecret()
	d.start()
	d.until("took the new password", func() bool { return d.lets("ssg", "another") })
	if _, err := d.query("ssg", appPassword, "DO 1"); err == nil {
		t.Error("the old password is still good")
	}
}

func TestMariaDBSetsAnInterruptedFirstBootAside(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"mysql", "aria_log_control", "mysql/global_priv.frm"} {
		t.Run(filepath.Base(moment), func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, "primary", certificates(t))
			d.start()
			d.until("reached "+moment, func() bool { return d.has(moment) })
			d.cut()
			if d.has(".ssg-ready") {
				t.Skip("the first boot was over before the cut")
			}
			d.start()
			d.answers()
			if n := len(d.quarantined()); n != 1 {
				t.Errorf("%d directories set aside:\n%s", n, d.log)
			}
			if d.login("root", "") {
				t.Error("root gets in without a password")
			}
			if shown := d.local("SHOW DATABASES"); strings.Contains(shown, "quarantine") {
				t.Errorf("what was set aside passes for a database: %s", shown)
			}
			d.cut()
			d.start()
			d.answers()
			if n := len(d.quarantined()); n != 1 {
				t.Errorf("a whole first boot was set aside too:\n%s", d.log)
			}
		})
	}
}

// foreign makes a data directory as the image's own entrypoint does, up to the
// given point.
func (d *database) foreign(sql string) {
	d.t.Helper()
	if out, err := d.command("mariadb-install-db", "--no-defaults", "--datadir="+d.data(""), "--auth-root-authentication-method=normal", "--skip-test-db", "--force").CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	if sql == "" {
		return
	}
	server := d.command("sh", "-c", `exec mariadbd "$@"`, "mariadbd", "--no-defaults", "--datadir="+d.data(""), "--skip-networking", "--socket="+d.socket())
	if err := server.Start(); err != nil {
		d.t.Fatal(err)
	}
	defer func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
	}()
	deadline := time.Now().Add(time.Minute)
	for {
		cmd := d.command("mariadb", "--no-defaults", "--socket="+d.socket(), "--user=root", "--execute="+sql)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) || !strings.Contains(string(out), "ERROR 2002") {
			d.t.Fatalf("%v: %s", err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

const seedsData = `CREATE DATABASE schooldb; CREATE TABLE schooldb.pupils (name TEXT); INSERT INTO schooldb.pupils VALUES ('Ada');
	CREATE USER root@'%' IDENTIFIED BY 'seeds-root'; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION; ALTER USER root@localhost IDENTIFIED BY 'seeds-root'`

func TestMariaDBAdoptsADirectoryThatThePasswordOpens(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, "primary", certificates(t))
	d.foreign(seedsData)
	d.password["root-password"] = "seeds-root"
	d.writeSecret()
	d.start()
	d.answers()
	if out, err := d.query("ssg", appPassword, "SELECT name FROM schooldb.pupils"); out != "Ada" {
		t.Errorf("%s %v\n%s", out, err, d.log)
	}
	if q := d.quarantined(); len(q) > 0 {
		t.Errorf("set aside: %v", q)
	}
	d.stop()
	d.password["root-password"] = "changed"
	d.writeSecret()
	d.start()
	if d.answers(); d.login("root", "seeds-root") || !d.login("root", "changed") {
		t.Error("root's old password is still good")
	}
}

func TestMariaDBNeverPutsAnEmptyDatabaseInPlaceOfALockedOne(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, "primary", certificates(t))
	d.foreign(seedsData)
	d.start()
	<-d.exited
	if code := d.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(d.log.String(), "put the old password into the Secret") {
		t.Errorf("exit %d:\n%s", code, d.log)
	}
	if !d.has("schooldb/pupils.frm") || len(d.quarantined()) > 0 {
		t.Error("the data was moved")
	}
}

func TestMariaDBSetsAForeignInterruptedFirstBootAside(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, "primary", certificates(t))
	d.foreign("") // system tables and a root without a password: what a power cut leaves of the image's entrypoint
	d.start()
	d.answers()
	if n := len(d.quarantined()); n != 1 {
		t.Errorf("%d directories set aside:\n%s", n, d.log)
	}
	if d.login("root", "") {
		t.Error("root gets in without a password")
	}
}

func pair(t *testing.T) (primary, replica *database) {
	t.Helper()
	c := certificates(t)
	primary, replica = newDatabase(t, "primary", c), newDatabase(t, "replica", c)
	replica.primary = primary.port
	return primary, replica
}

func (d *database) count() int {
	if _, err := os.Stat(d.socket()); err != nil {
		return -1
	}
	out, err := d.tryLocal("SELECT COUNT(*) FROM schooldb.t")
	n, convErr := strconv.Atoi(out)
	if errors.Join(err, convErr) != nil {
		return -1
	}
	return n
}

func (d *database) insert(n int) {
	d.t.Helper()
	for range n {
		if out, err := d.query("ssg", appPassword, "INSERT INTO schooldb.t VALUES (1)"); err != nil {
			d.t.Fatalf("%v: %s", err, out)
		}
	}
}

func TestMariaDBReplicaComesIntoStepByItself(t *testing.T) {
	t.Parallel()
	primary, replica := pair(t)
	replica.start() // first, as nothing orders the two
	replica.until("waited for the primary", func() bool { return strings.Contains(replica.log.String(), "waiting for the primary") })
	primary.start()
	primary.answers()
	primary.local("CREATE TABLE schooldb.t (i INT)")
	primary.insert(3)
	replica.inStep()
	replica.until("had the rows", func() bool { return replica.count() == 3 })
	if out, err := replica.query("ssg", appPassword, "INSERT INTO schooldb.t VALUES (9)"); err == nil {
		t.Errorf("the application may write to the replica: %s", out)
	}
	if status := replica.status(); !strings.Contains(status, "Master_SSL_Allowed: Yes") || !strings.Contains(status, "Master_SSL_Verify_Server_Cert: Yes") {
		t.Errorf("it does not ask who it follows:\n%s", status)
	}

	// A rotation on the primary reaches the replica.
	primary.local("ALTER USER ssg@'%' IDENTIFIED BY 'rotated'")
	replica.until("had the new password", func() bool { _, err := replica.query("ssg", "rotated", "DO 1"); return err == nil })
	primary.local("ALTER USER ssg@'%' IDENTIFIED BY '" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(appPassword) + "'")

	// Both lose power while the primary is written to.
	stop := make(chan struct{})
	acknowledged := make(chan int)
	go func() {
		n := 3
		for {
			select {
			case <-stop:
				acknowledged <- n
				return
			default:
				if _, err := primary.query("ssg", appPassword, "INSERT INTO schooldb.t VALUES (1)"); err == nil {
					n++
				}
			}
		}
	}()
	replica.until("had some of them", func() bool { return replica.count() > 6 })
	syscall.Kill(-primary.cmd.Process.Pid, syscall.SIGKILL)
	replica.cut()
	close(stop)
	n := <-acknowledged
	primary.cut()
	primary.start()
	replica.start()
	primary.answers()
	replica.inStep()
	if have := primary.count(); have < n {
		t.Errorf("%d writes were acknowledged, the primary has %d", n, have)
	}
	replica.until("had every row", func() bool { return replica.count() == primary.count() })
	if strings.Contains(replica.log.String(), "copying") {
		t.Errorf("a power cut made it copy everything again:\n%s", replica.log)
	}
	replica.stop()
	primary.stop()
}

func TestMariaDBReplicaIsSeededWhenBinaryLogsAreGone(t *testing.T) {
	t.Parallel()
	primary, replica := pair(t)
	primary.start()
	primary.answers().local("CREATE TABLE schooldb.t (i INT)")
	replica.start()
	replica.inStep()
	replica.stop()

	primary.insert(5)
	purge(primary)
	replica.start()
	replica.until("had the rows", func() bool { return replica.count() == 5 })
	replica.inStep()
	if said := replica.log.String(); !strings.Contains(said, "no longer has what comes next") {
		t.Errorf("it said\n%s", said)
	}
	replica.stop()

	// Its volume is lost as well.
	if err := os.RemoveAll(replica.data("")); err != nil {
		t.Fatal(err)
	}
	replica.mkdir(replica.data(""))
	purge(primary)
	replica.start()
	replica.inStep()
	primary.insert(1)
	replica.until("went on", func() bool { return replica.count() == 6 })
}

// purge makes the primary forget all binary logs but the last, empty one. It
// keeps a log that somebody reads, and notices late that a replica has gone.
func purge(primary *database) {
	primary.local("FLUSH BINARY LOGS")
	last := strings.Fields(primary.local("SHOW MASTER STATUS"))[0]
	primary.until("forgot its logs", func() bool {
		primary.local("PURGE BINARY LOGS TO '" + last + "'")
		return strings.Count(primary.local("SHOW BINARY LOGS"), "\n") == 0
	})
}

func TestMariaDBReplicaCutWhileItCopiesBeginsAgain(t *testing.T) {
	t.Parallel()
	primary, replica := pair(t)
	primary.start()
	primary.answers().local("USE schooldb; CREATE TABLE t (i INT); INSERT INTO t SELECT seq FROM seq_1_to_200000")
	replica.start()
	replica.until("copied", func() bool { return strings.Contains(replica.log.String(), "copying") })
	replica.cut()
	replica.start()
	replica.inStep()
	if n := replica.count(); n != 200000 {
		t.Errorf("%d rows\n%s", n, replica.log)
	}
}

func TestMariaDBReplicaKeepsWhatMayBeTheOnlyCopy(t *testing.T) {
	t.Parallel()
	primary, replica := pair(t)
	primary.start()
	primary.answers().local("CREATE TABLE schooldb.t (i INT)")
	primary.insert(2)
	replica.start()
	replica.inStep()
	replica.stop()
	primary.stop()

	// The primary's volume is lost; another database takes its name.
	if err := os.RemoveAll(primary.data("")); err != nil {
		t.Fatal(err)
	}
	primary.mkdir(primary.data(""))
	primary.start()
	primary.answers().local("CREATE TABLE schooldb.one (i INT); DROP TABLE schooldb.one")
	replica.start()
	replica.until("refused", func() bool { return strings.Contains(replica.log.String(), "may be the only copy") })
	if n := replica.count(); n != 2 {
		t.Errorf("%d rows are left of 2", n)
	}
	if _, err := os.Stat(filepath.Join(replica.dir, "run", "in-step")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it passes for a replica of the empty primary")
	}

	// As soon as the primary has the data again, so has the replica.
	primary.local("CREATE TABLE schooldb.t (i INT); INSERT INTO schooldb.t VALUES (1), (2), (3)")
	replica.until("took the restored data", func() bool { return replica.count() == 3 })
	replica.inStep()
}
