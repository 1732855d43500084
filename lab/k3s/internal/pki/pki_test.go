package pki

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
)

func names(extra ...string) Names {
	return Names{Node: "oldpc", NodeIPs: []string{"10.0.2.15"}, Serving: append([]string{"kubernetes", "127.0.0.1"}, extra...)}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(read(t, path)))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestEnsureIsStable(t *testing.T) {
	p := layout.Paths{Root: t.TempDir()}
	now := time.Now()
	if err := Ensure(p, names(), now); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, p.Root)
	if len(before) < 30 {
		t.Fatalf("only %d files", len(before))
	}
	if err := Ensure(p, names(), now.Add(30*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for path, content := range snapshot(t, p.Root) {
		if before[path] != content {
			t.Errorf("%s changed", path)
		}
	}
}

func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestServingCertificateFollowsItsNames(t *testing.T) {
	p := layout.Paths{Root: t.TempDir()}
	now := time.Now()
	file := p.TLS("serving-kube-apiserver.crt")
	cases := []struct {
		name    string
		names   Names
		now     time.Time
		renewed bool
	}{
		{"first", names(), now, true},
		{"same", names(), now, false},
		{"another order", Names{Node: "oldpc", NodeIPs: []string{"10.0.2.15"}, Serving: []string{"127.0.0.1", "kubernetes", "kubernetes"}}, now, false},
		{"a name more", names("oldpc.tailnet.ts.net"), now, true},
		{"a name less", names(), now, true},
		{"soon expired", names(), now.Add(leafLifetime - renewBefore + time.Hour), true},
	}
	var before, key, ca string
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := Ensure(p, c.names, c.now); err != nil {
				t.Fatal(err)
			}
			after := read(t, file)
			if (after != before) != c.renewed {
				t.Fatalf("renewed: %v, want %v", after != before, c.renewed)
			}
			k, a := read(t, p.TLS("serving-kube-apiserver.key")), read(t, p.TLS("server-ca.crt"))
			if before != "" && (k != key || a != ca) {
				t.Fatal("key or authority changed with the certificate")
			}
			before, key, ca = after, k, a
			cert := parse(t, file)
			roots := x509.NewCertPool()
			roots.AddCert(parse(t, p.TLS("server-ca.crt")))
			for _, n := range c.names.Serving {
				opts := x509.VerifyOptions{DNSName: n, Roots: roots, CurrentTime: c.now}
				if _, err := cert.Verify(opts); err != nil {
					t.Errorf("%s: %v", n, err)
				}
			}
		})
	}
}

func TestRestoredAuthorityReissues(t *testing.T) {
	p := layout.Paths{Root: t.TempDir()}
	now := time.Now()
	if err := Ensure(p, names(), now); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"client-ca.crt", "client-ca.key"} {
		if err := os.Remove(p.TLS(f)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Ensure(p, names(), now); err != nil {
		t.Fatal(err)
	}
	if err := parse(t, p.TLS("client-admin.crt")).CheckSignatureFrom(parse(t, p.TLS("client-ca.crt"))); err != nil {
		t.Fatal("admin certificate is not of the new authority:", err)
	}
}

func TestToken(t *testing.T) {
	p := layout.Paths{Root: t.TempDir()}
	if err := Ensure(p, names(), time.Now()); err != nil {
		t.Fatal(err)
	}
	first, err := EnsureToken(p, "")
	if err != nil || len(first) != 32 {
		t.Fatalf("%q, %v", first, err)
	}
	full := strings.TrimSpace(read(t, p.NodeToken()))
	for _, asked := range []string{"", first, full} {
		if got, err := EnsureToken(p, asked); err != nil || got != first {
			t.Errorf("asked %q: %q, %v", asked, got, err)
		}
	}
	if _, err := EnsureToken(p, "other"); !errors.Is(err, ErrTokenChanged) {
		t.Errorf("another token: %v", err)
	}
}
