package servicetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/settings"
)

// MariaDB is a server with an empty schooldb and the application's user.
type MariaDB struct {
	*Process
	At settings.Database
	// Root is a connection that may do everything.
	Root *sql.DB
}

// StartMariaDB starts a server on one of loopback's addresses. Without a
// certificate it speaks no TLS.
func StartMariaDB(t *testing.T, host, port string, certificate bool) *MariaDB {
	t.Helper()
	server := Find(t, "mariadb-server", "/usr/sbin/mariadbd")
	dir := t.TempDir()
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	user := "--user=" + owner()
	install := exec.Command("mariadb-install-db", "--no-defaults", user, "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("install MariaDB: %v\n%s", err, out)
	}
	argv := []string{server, "--no-defaults", user, "--datadir=" + data, "--socket=" + socket, "--pid-file=" + filepath.Join(dir, "pid"),
		"--bind-address=" + host, "--port=" + port, "--innodb-buffer-pool-size=16M"}
	if certificate {
		cert, key := writeCertificate(t, dir)
		argv = append(argv, "--ssl-cert="+cert, "--ssl-key="+key)
	}
	m := &MariaDB{Process: start(t, dir, nil, argv...), At: settings.Database{Host: host, Port: port, User: "ssg", Password: "it's", Name: "schooldb"}}
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.MultiStatements = "root", "unix", socket, true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	m.Root = sql.OpenDB(connector)
	t.Cleanup(func() { m.Root.Close() })
	m.await(t, m.Root.Ping)
	m.Exec(t, "CREATE DATABASE schooldb; CREATE USER ssg@'%' IDENTIFIED BY 'it''s'; GRANT ALL ON schooldb.* TO ssg@'%'")
	return m
}

// Exec runs statements as root.
func (m *MariaDB) Exec(t *testing.T, statements string) {
	t.Helper()
	if _, err := m.Root.ExecContext(t.Context(), statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// owner is whom the server runs as: it refuses root unless told.
func owner() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return os.Getenv("USER")
}

func writeCertificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return WritePEM(t, dir, "CERTIFICATE", signed), WritePEM(t, dir, "PRIVATE KEY", encoded)
}

// WritePEM writes a PEM file named after its kind and returns its path.
func WritePEM(t *testing.T, dir, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, kind+".pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
